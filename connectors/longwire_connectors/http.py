"""A child's one HTTP client for all that it asks of its platform once it is connected.

Pooled, bounded in every direction, and truthful: each failure is a `CommandError` that says whether there may
have been an effect (`unanswered`). A host that fails again and again is left alone for a while (`breaker`).
Proxies and certificates come from the environment as for `webcall`. Redirects are not followed, as they would
carry tokens and messages elsewhere: they are answers like any other. There are no cookies.

aiohttp is imported at the first call, in a thread: a child that only receives never pays for it.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from longwire_connectors import webcall
from longwire_connectors.asking import NOTHING, Asked, Attempt, Part, Reply
from longwire_connectors.deadline import call_ends_at
from longwire_connectors.unanswered import resting, too_long, unanswered
from longwire_protocol import breaker
from longwire_protocol.breaker import Breaker, Event, State
from longwire_protocol.threads import in_thread

if TYPE_CHECKING:
    from longwire_connectors.pool import Answer, Pool

__all__ = ["CHUNK_BYTES", "MAX_BODY_BYTES", "TOTAL_S", "Download", "Http", "Part", "Reply", "nobody"]

TOTAL_S = 15.0
"""For a whole call, from the wait for a place in the pool to the last byte; the Lark Node SDK's number."""
MAX_BODY_BYTES = 1024 * 1024
"""Of an answer, decompressed. Most are some hundred bytes; a page of 50 messages is some hundred thousand."""
CHUNK_BYTES = 64 * 1024
"""The most that `Download.chunks` gives at a time."""
MAX_TRANSFERS = 8
"""Files on their way at once, up and down: half of the places of a host, as each may take a minute, and
messages must not wait for them."""

_log = logging.getLogger("longwire.child")

_IMPORT_S = 30.0
_JSON = "application/json; charset=utf-8"
_MAX_HOSTS = 64
"""Hosts whose failures are remembered; the one not asked for longest is forgotten first."""


class Download:
    """An answer whose body is read while it comes. Made by `Http.stream`."""

    def __init__(self, answer: Answer, *, asked: Asked, max_bytes: int) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self._answer = answer
        self._asked = asked
        self._max_bytes = max_bytes

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Give the body in pieces of at most `CHUNK_BYTES`, once.

        Raises:
            CommandError: it broke off, took too long, or is longer than `max_bytes`.
        """
        asked, read = self._asked, 0
        async for chunk in self._answer.chunks(CHUNK_BYTES):
            read += len(chunk)
            if read > self._max_bytes:
                raise too_long(asked.host, max_bytes=self._max_bytes, is_harmless=asked.is_harmless)
            yield chunk


def nobody(_what: str) -> None:
    """Count nothing."""


class Http:
    """Makes calls. Made without a loop, used in one, closed at the end.

    There is no bound of its own for those that wait for a place in the pool: whoever calls is a command of
    the child, of which there are few (`commands`), and waits within its deadline.

    Args:
        count: told of each call, each that failed by the host's fault, and each time that one is left alone.
    """

    def __init__(self, count: Callable[[str], None] = nobody) -> None:
        self._count = count
        self._pool: Pool | None = None
        self._transfers = asyncio.Semaphore(MAX_TRANSFERS)
        self._opening = asyncio.Lock()
        self._breakers: OrderedDict[str, Breaker] = OrderedDict()

    async def call(  # noqa: PLR0913  what HTTP has
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = NOTHING,
        query: Mapping[str, str] = NOTHING,
        json: Any = None,
        data: bytes | None = None,
        parts: Sequence[Part] = (),
        max_bytes: int = MAX_BODY_BYTES,
        total_s: float = TOTAL_S,
        is_harmless: bool = False,
    ) -> Reply:
        """Return the answer, whatever its status.

        Args:
            method: of HTTP.
            url: http or https.
            headers: besides the usual ones, which they replace.
            query: added to the URL's own.
            json: what is sent as JSON; or
            data: what is sent as it is; or
            parts: what is sent as a multipart form.
            max_bytes: of the answer's body, decompressed.
            total_s: for everything, waiting for a place in the pool included; less where the command that it
                is made for must be answered before.
            is_harmless: nothing is changed by it, or nothing that anybody notices. It is asked once more
                where an idle connection turns out to be closed.

        Raises:
            CommandError: `PLATFORM_UNREACHABLE`: it had no effect, or is harmless. `DEADLINE_EXCEEDED`: its
                effect is unknown. `BAD_PARAM`: not a URL of HTTP.
        """
        if json is not None:
            data, headers = msgspec.json.encode(json), {"Content-Type": _JSON, **headers}
        asked = Asked(
            method=method,
            url=url,
            headers=headers,
            query=query,
            data=data,
            parts=parts,
            total_s=total_s,
            is_harmless=is_harmless,
        )
        async with self._place(asked, is_file=bool(parts)), self._asking(asked) as answer:
            download = Download(answer, asked=asked, max_bytes=max_bytes)
            body = b"".join([chunk async for chunk in download.chunks()])
            return Reply(download.status, download.headers, body)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = NOTHING,
        query: Mapping[str, str] = NOTHING,
        max_bytes: int,
        total_s: float,
    ) -> AsyncGenerator[Download]:
        """Enter with the head of an answer, whatever its status; the body can be read until the exit.

        For what is harmless. Arguments and errors as of `call`.
        """
        asked = Asked(method=method, url=url, headers=headers, query=query, total_s=total_s, is_harmless=True)
        async with self._place(asked, is_file=True), self._asking(asked) as answer:
            if answer.announced_bytes > max_bytes:
                raise too_long(asked.host, max_bytes=max_bytes, is_harmless=True)
            yield Download(answer, asked=asked, max_bytes=max_bytes)

    async def close(self) -> None:
        """Close all connections; the next call would open others."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    @asynccontextmanager
    async def _place(self, asked: Asked, *, is_file: bool) -> AsyncGenerator[None]:
        """Wait until a file may be sent or fetched; nothing else waits for files."""
        if not is_file:
            yield
            return
        try:
            async with asyncio.timeout_at(call_ends_at(now=_now(), total_s=asked.total_s)):
                await self._transfers.acquire()
        except TimeoutError as error:
            what = f"{asked.host} could not be asked: {MAX_TRANSFERS} files were on their way"
            raise unanswered(what, was_sent=False, is_harmless=asked.is_harmless) from error
        try:
            yield
        finally:
            self._transfers.release()

    @asynccontextmanager
    async def _asking(self, asked: Asked) -> AsyncGenerator[Answer]:
        """Ask once, if the host's breaker lets it, and tell the breaker how it went."""
        attempt = Attempt(asked, ends_at=call_ends_at(now=_now(), total_s=asked.total_s))
        pool = await self._opened(asked)
        term = self._admit(asked)
        self._count("platform_calls")
        try:
            async with pool.ask(attempt) as answer:
                yield answer
        finally:
            self._settle(attempt, term=term)

    def _admit(self, asked: Asked) -> int:
        """Return the breaker's term, or raise if the host is to be left alone."""
        after, wait_s = breaker.ask(self._breaker(asked.origin), now=_now())
        self._breakers[asked.origin] = after
        if wait_s > 0:
            raise resting(asked.host, wait_s=wait_s)
        return after.term

    def _settle(self, attempt: Attempt, *, term: int) -> None:
        """Tell the breaker how a call went, and the log what that changes."""
        asked = attempt.asked
        before = self._breaker(asked.origin)
        after = breaker.report(before, attempt.outcome, term=term, now=_now())
        self._breakers[asked.origin] = after
        if attempt.outcome is Event.FAILED:
            self._count("platform_calls_failed")
        if after.state is State.OPEN and before.state is State.CLOSED:
            self._count("host_left_alone")
            _log.warning("host_left_alone", extra={"host": asked.host, "failures": breaker.FAILURES})
        elif after.state is State.CLOSED and before.state is State.PROBING:
            _log.info("host_answers_again", extra={"host": asked.host})

    def _breaker(self, origin: str) -> Breaker:
        found = self._breakers.setdefault(origin, Breaker())
        self._breakers.move_to_end(origin)
        while len(self._breakers) > _MAX_HOSTS:
            self._breakers.popitem(last=False)
        return found

    async def _opened(self, asked: Asked) -> Pool:
        """Return the pool. What it needs takes 0.1 to 0.2 s to import, while the loop must go on turning."""
        async with self._opening:
            if self._pool is None:
                try:
                    await in_thread(_prepare, name="http import", timeout_s=_IMPORT_S)
                except OSError as error:  # certificates that cannot be read, or a very slow disk
                    what = f"{asked.host} could not be asked: {type(error).__name__}"
                    raise unanswered(what, was_sent=False, is_harmless=asked.is_harmless) from error
                from longwire_connectors.pool import Pool  # noqa: PLC0415  now it is cheap

                self._pool = Pool()
            return self._pool


def _prepare() -> None:
    importlib.import_module("longwire_connectors.pool")
    webcall.trust()


def _now() -> float:
    return asyncio.get_running_loop().time()
