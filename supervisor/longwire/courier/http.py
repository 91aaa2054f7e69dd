"""The courier's one HTTP client: posts to targets that may be hostile, over connections that are checked.

Lean on purpose: no tracing, no URL parsed and no timeout made twice, and a connection that is idle is used.
How many posts are under way is the caller's to bound; how long one takes, how much it brings and where it may
go is bounded here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import aiohttp
import msgspec
from aiohttp import hdrs
from aiohttp.abc import AbstractResolver
from yarl import URL

from longwire.courier import asking, connecting, urls
from longwire.courier.asking import Asking
from longwire.courier.connecting import Gate, Sockets
from longwire.courier.errors import Busy, Failed, PostError, Refused
from longwire.courier.faults import BUSY_S, meaning
from longwire.courier.lookups import Lookups
from longwire.courier.target import MAX_TARGETS, Target
from longwire_protocol.version import __version__

MAX_ANSWER_BYTES: Final = 64 * 1024
"""Of an answer's body: a reply that is sent as a command is some kilobytes."""
MAX_KEPT: Final = 512
"""Sockets, until which a connection is kept for the next post. With those of the posts under way there are
well below 1,024, the usual bound on descriptors."""

USER_AGENT: Final = f"Longwire/{__version__}"
_HEADERS: Final = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
_FOLLOWED: Final = frozenset({307, 308})
"""Redirects that keep method and body (RFC 9110, 15.4). The others would make a GET of the post."""
_SHOWN: Final = (hdrs.RETRY_AFTER, hdrs.CONTENT_TYPE)
_SENT_ELSEWHERE: Final = frozenset({"content-type"})
"""What another origin than the target's own gets: no signature, and no header of the target's."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a target answered, whatever the status."""

    status: int
    headers: Mapping[str, str]
    """Of `retry-after` and `content-type` those that were given; names in lower case."""
    body: bytes
    """Its first `MAX_ANSWER_BYTES`, as they came: nothing is decompressed."""


class _Hop(msgspec.Struct, frozen=True):
    """One request, ready to be sent."""

    url: URL
    timeout: aiohttp.ClientTimeout


class Poster:
    """Makes posts. One for the whole courier; made in a running loop, closed at the end.

    Args:
        resolver: in place of the system's; its answers are checked like any.
        tls: what is trusted, in place of the system's certificates and what SSL_CERT_FILE and SSL_CERT_DIR
            name; those take some 20 ms to read.
    """

    def __init__(
        self, *, resolver: AbstractResolver | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._resolver = resolver or Lookups()
        self._tls = tls or ssl.create_default_context()
        self._sockets = Sockets()
        self._pools: dict[tuple[bool, bool], aiohttp.ClientSession] = {}
        self._is_closed = False

    @property
    def open_sockets(self) -> int:
        """How many connections there are, idle ones and those being made included."""
        return self._sockets.open

    async def post(self, target: Target, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Return the target's answer, whatever its status.

        At most `connect_timeout_s` + `read_timeout_s` of the target, with everything. A connection that turns
        out to be closed when it is used again is not the target's failure: the post goes once more over a new
        one, which is no harm, as its `webhook-id` is the same.

        Args:
            target: one without `problems`.
            body: what is sent.
            headers: all of this post's own, the target's and the signature included.

        Raises:
            Refused: policy forbids it; nothing was posted to the forbidden place.
            Failed: the target's fault.
            Busy: our own.
        """
        hop = _first_hop(target.url, target.connect_timeout_s, target.read_timeout_s)
        if not target.redirects:
            return (await self._ask(target, hop, body, headers))[0]
        ends_at = _now() + (hop.timeout.total or 0.0)
        for _ in range(target.redirects + 1):
            answer, location = await self._ask(target, hop, body, headers)
            if answer.status not in _FOLLOWED or location is None:
                return answer
            after = _next_hop(target, hop, location, left_s=ends_at - _now())
            if after.url.origin() != hop.url.origin():
                headers = {key: value for key, value in headers.items() if key.lower() in _SENT_ELSEWHERE}
            hop = after
        raise Failed(f"{hop.url.host} redirects more than {target.redirects} times")

    async def close(self) -> None:
        """Close every connection; posts under way are `Busy`, and so are those that come later."""
        self._is_closed = True
        pools = list(self._pools.values())
        self._pools.clear()
        for pool in pools:
            await pool.close()
        await self._resolver.close()

    async def _ask(
        self, target: Target, hop: _Hop, body: bytes, headers: Mapping[str, str]
    ) -> tuple[Answer, str | None]:
        """Return the answer of one place, and where it points; twice asked where an idle connection broke."""
        post = Asking(target.tenant)
        asking.current.set(post)
        is_kept = self._sockets.open < MAX_KEPT
        try:
            return await self._send(self._pool(target, is_kept=is_kept), hop, body, headers)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if post.opened or not is_kept or isinstance(error, aiohttp.ClientConnectorError):
                raise self._told(error, post, hop) from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._told(error, post, hop) from error
        try:
            return await self._send(self._pool(target, is_kept=False), hop, body, headers)
        except (aiohttp.ClientError, OSError) as error:
            raise self._told(error, post, hop) from error

    async def _send(
        self, pool: aiohttp.ClientSession, hop: _Hop, body: bytes, headers: Mapping[str, str]
    ) -> tuple[Answer, str | None]:
        response = await pool.request(
            "POST", hop.url, data=body, headers=headers, allow_redirects=False, timeout=hop.timeout
        )
        content, given = response.content, response.headers
        if content.is_eof():  # it has come whole, and its connection is in the pool already
            answered = content.read_nowait(MAX_ANSWER_BYTES)
        else:
            try:
                answered = await _beginning(content)
            finally:
                response.close()
        shown = {name.lower(): given[name] for name in _SHOWN if name in given}
        return Answer(response.status, shown, answered), given.get(hdrs.LOCATION)

    def _told(self, error: Exception, post: Asking, hop: _Hop) -> PostError:
        return _closed() if self._is_closed else meaning(error, post, host=hop.url.host or "")

    def _pool(self, target: Target, *, is_kept: bool) -> aiohttp.ClientSession:
        if self._is_closed:
            raise _closed()
        key = (target.allow_private, is_kept)
        pool = self._pools.get(key)
        if pool is None:
            gate = Gate(self._resolver, self._sockets, is_private_allowed=target.allow_private)
            pool = connecting.session(gate, tls=self._tls, headers=_HEADERS, is_kept=is_kept)
            self._pools[key] = pool
        return pool


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    """Return a body up to `MAX_ANSWER_BYTES`."""
    body = await content.read(MAX_ANSWER_BYTES)
    while not content.at_eof() and len(body) < MAX_ANSWER_BYTES:
        body += await content.read(MAX_ANSWER_BYTES - len(body))
    return body


@lru_cache(maxsize=2 * MAX_TARGETS)
def _first_hop(url: str, connect_s: float, read_s: float) -> _Hop:
    exactly = URL(
        url, encoded=True
    )  # as it was given: yarl would decode and shorten what others sign or route by
    return _Hop(exactly, _timeout(connect_s, connect_s + read_s))


def _timeout(connect_s: float, total_s: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=max(total_s, 0.001), connect=connect_s, sock_connect=None)


def _next_hop(target: Target, hop: _Hop, location: str, *, left_s: float) -> _Hop:
    """Return where a redirect leads; raises Refused where a target itself could not be."""
    try:
        url = hop.url.join(URL(location))
    except ValueError as error:
        raise Refused(f"{hop.url.host} redirects to what is no URL") from error
    is_http_allowed = target.allow_http and hop.url.scheme == "http"
    problem = urls.problem(str(url), allow_http=is_http_allowed, allow_private=target.allow_private)
    if problem is not None:
        raise Refused(f"{hop.url.host} redirects to a URL that is refused: {problem}")
    return _Hop(url, _timeout(target.connect_timeout_s, left_s))


def _closed() -> Busy:
    return Busy("the courier is stopping", retry_after_s=BUSY_S)


def _now() -> float:
    return asyncio.get_running_loop().time()
