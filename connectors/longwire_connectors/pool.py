"""The connections behind `http`, over aiohttp. Imported at the first call of a child, and in a thread."""

from __future__ import annotations

import asyncio
import io
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from longwire_connectors import webcall
from longwire_connectors.asking import Asked, Attempt
from longwire_connectors.unanswered import unanswered
from longwire_protocol.breaker import Event
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.threads import in_thread

CONNECT_S = 5.0
"""For TCP and TLS; the addresses of a host are tried side by side (RFC 8305)."""
READY_S = 10.0
"""Until the request can be written: a place in the pool, the host's address, the connection."""
SILENCE_S = 10.0
"""Between two bytes of the answer, also before the first; as `webcall.SILENCE_S`."""
LOOKUP_S = 5.0
"""For the address of a host: one round of the system's resolver."""
LOOKUP_LIFE_S = 30
"""How long an address is taken for the same."""
MAX_CONNECTIONS = 32
MAX_PER_HOST = 16
"""Requests under way at once. Lark takes 50 a second of an app and answers within 0.3 s, so 15 are enough."""
IDLE_S = 15.0
"""How long an idle connection is kept: aiohttp's number, below those of common gateways, so that they seldom
close one in the moment in which it is used."""

_NEVER_ROUND_S = 1e9
"""aiohttp rounds longer timeouts up to full seconds, and calls would outlast their commands."""
_SERVER_ERROR = 500
_LARGE_BYTES = 512 * 1024
"""From this on a body is handed over as a file: aiohttp then writes it piece by piece."""


class Answer:
    """An answer whose head is read."""

    def __init__(self, response: aiohttp.ClientResponse, attempt: Attempt) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.announced_bytes = response.content_length or 0
        self._response = response
        self._attempt = attempt

    async def chunks(self, size: int) -> AsyncIterator[bytes]:
        """Give the body as it comes, in pieces of at most `size` bytes; raises CommandError."""
        content = self._response.content
        while True:
            with _truthful(self._attempt):
                chunk = await content.read(size)
            if not chunk:
                return
            yield chunk


class Pool:
    """Open connections, and those who wait for one: in their order for each host. Made in a loop."""

    def __init__(self) -> None:
        connector = aiohttp.TCPConnector(
            limit=MAX_CONNECTIONS,
            limit_per_host=MAX_PER_HOST,
            keepalive_timeout=IDLE_S,
            resolver=_Resolver(),
            ssl=webcall.trust(),
            ttl_dns_cache=LOOKUP_LIFE_S,
            timeout_ceil_threshold=_NEVER_ROUND_S,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": webcall.USER_AGENT},
            trace_configs=[_tracing()],
        )
        # On its own aiohttp sends every PUT and DELETE again whose connection breaks. The first one may have
        # been done, and the second is then refused, which says that there was no effect. There is no option.
        self._session._retry_connection = False  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    @asynccontextmanager
    async def ask(self, attempt: Attempt) -> AsyncGenerator[Answer]:
        """Enter with the head of the answer; raises CommandError. The attempt tells how it went."""
        with _truthful(attempt):
            response = await self._begin(attempt)
        attempt.outcome = Event.FAILED if response.status >= _SERVER_ERROR else Event.ANSWERED
        async with response:
            yield Answer(response, attempt)

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def _begin(self, attempt: Attempt) -> aiohttp.ClientResponse:
        """Send, and once more where a harmless call went over an idle connection that was just closed."""
        try:
            return await self._send(attempt)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError):
            if not (attempt.is_reused and attempt.asked.is_harmless) or attempt.asked.parts:
                raise
            return await self._send(attempt)

    async def _send(self, attempt: Attempt) -> aiohttp.ClientResponse:
        asked = attempt.asked
        attempt.was_sent = attempt.is_reused = attempt.is_queued = False
        attempt.asked_at = asyncio.get_running_loop().time()
        left_s = attempt.ends_at - attempt.asked_at
        timeout = aiohttp.ClientTimeout(
            total=max(left_s, 0.001),  # 0 would mean for ever
            connect=READY_S,
            sock_connect=CONNECT_S,
            sock_read=SILENCE_S,
            ceil_threshold=_NEVER_ROUND_S,
        )
        return await self._session.request(
            asked.method,
            asked.url,
            headers=asked.headers,
            params=asked.query,
            data=_body(asked),
            allow_redirects=False,
            proxy=webcall.proxy_for(asked.url),
            timeout=timeout,
            trace_request_ctx=attempt,
        )


class _Resolver(AbstractResolver):
    """Looks addresses up in threads that nobody has to wait for: the loop's own pool is joined at its end."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        look_up = partial(socket.getaddrinfo, host, port, family=family, type=socket.SOCK_STREAM)
        found = await in_thread(look_up, name="http lookup", timeout_s=LOOKUP_S)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=int(address[1]),
                family=family,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for family, _, proto, _, address in found
        ]

    async def close(self) -> None:
        return


def _body(asked: Asked) -> bytes | io.BytesIO | aiohttp.FormData | None:
    if not asked.parts:
        return _in_pieces(asked.data) if isinstance(asked.data, bytes) else None
    form = aiohttp.FormData()
    for part in asked.parts:
        content = _in_pieces(part.content) if isinstance(part.content, bytes) else part.content
        form.add_field(part.name, content, filename=part.filename, content_type=part.content_type)
    return form


def _in_pieces(content: bytes) -> bytes | io.BytesIO:
    return content if len(content) < _LARGE_BYTES else io.BytesIO(content)


def _tracing() -> aiohttp.TraceConfig:
    """Have aiohttp note in each attempt what decides what its failure means."""

    async def sent(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
        context.trace_request_ctx.was_sent = True

    async def reused(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
        context.trace_request_ctx.is_reused = True

    async def queued(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
        context.trace_request_ctx.is_queued = True

    async def unqueued(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
        context.trace_request_ctx.is_queued = False
        context.trace_request_ctx.asked_at = asyncio.get_running_loop().time()

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_queued_start.append(queued)
    tracing.on_connection_queued_end.append(unqueued)
    tracing.on_request_headers_sent.append(sent)
    tracing.on_connection_reuseconn.append(reused)
    return tracing


@contextmanager
def _truthful(attempt: Attempt) -> Generator[None]:
    """Have every failure of the network say whether the call may have had an effect."""
    asked = attempt.asked
    try:
        yield
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
        raise CommandError(RetCode.BAD_PARAM, "not a URL of HTTP") from error
    except (aiohttp.ClientError, OSError) as error:
        is_own = isinstance(error, TimeoutError) and not attempt.was_host_given_time
        attempt.outcome = Event.GIVEN_UP if is_own else Event.FAILED
        how = "did not answer in time" if isinstance(error, TimeoutError) else "broke off"
        if not attempt.was_sent:
            how = "cannot be reached"
        what = f"{asked.host} {how}: {type(error).__name__}"
        raise unanswered(what, was_sent=attempt.was_sent, is_harmless=asked.is_harmless) from error
