"""The logbook: takes lines from every thread, and lets readers on a loop wait for more."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any

import msgspec

from longwire.logbook.ring import Line, Ring, Speaker, Wanted
from longwire.logbook.tail import Mark, Tail, tail

_MAX_TEXT = 16_384
"""Characters of a field: a traceback of 150 frames; a child's line is cut at as many bytes."""

_GATHER_S = 0.05
"""From a line to the answer of whoever waits for it: what is written in the meantime comes with it, so that a
flood costs 20 answers a second, and a person sees no delay."""

_LEVELS = logging.getLevelNamesMapping()

_FRONT = ("timestamp", "level", "event", "account")
"""What stands at the beginning of a line, behind `time`."""


class Logbook:
    """The lines of this process's log, and those that earlier runs left on disk.

    A line may come while another is taken in, on the same thread: the garbage collector runs finalizers
    anywhere, and asyncio's tasks log in theirs. So `keep` waits for no lock: who holds it takes in what came.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.tenants: Mapping[str, str] = {}
        """To whom each account belongs now; lines are marked with it as they come."""
        self._clock = clock
        self._lock = threading.Lock()
        self._inbox: deque[tuple[Speaker, int, bytes, int]] = deque()
        self._ring = Ring(began=_micros(clock()))
        self._waiters: set[asyncio.Future[None]] = set()
        self._news: SimpleQueue[None] = SimpleQueue()
        self._is_told = False

    @property
    def began(self) -> int:
        """The position at which this run began."""
        return self._ring.began

    def keep(self, fields: Mapping[str, Any]) -> None:
        """Keep a line of the log, redacted before; from any thread, without waiting, without an error."""
        account = fields.get("account")
        account = account if isinstance(account, str) else None
        tenant = self.tenants.get(account) if account is not None else None
        speaker = Speaker(account, tenant, is_child=fields.get("source") == "child")
        level = _LEVELS.get(str(fields.get("level")).upper(), logging.INFO)
        text = _encode(fields if tenant is None else {**fields, "tenant": tenant})
        self._inbox.append((speaker, level, text, _micros(self._clock())))
        self._take_in()

    def recall(self, lines: list[tuple[Speaker, Line]]) -> None:
        """Take over what an earlier run left."""
        with self._alone() as ring:
            ring.recall(lines)

    def behind(self, position: int) -> list[Line]:
        """Return every line behind a position."""
        with self._alone() as ring:
            return ring.behind(position, Wanted())

    def has(self, wanted: Wanted) -> bool:
        """Return whether there ever were such lines, whatever their level."""
        with self._alone() as ring:
            return ring.ever(wanted) > 0

    def wait_for_news(self, *, timeout_s: float) -> None:
        """Return after the next line, or at once if there was one since the last call; for one thread."""
        with suppress(Empty):
            self._news.get(timeout=timeout_s)
        self._is_told = False

    def tell(self) -> None:
        """Wake whoever waits for news."""
        if not self._is_told:  # else a thread that the disk keeps would find a token for each line
            self._is_told = True
            self._news.put(None)

    async def tail(
        self, wanted: Wanted, *, run: str, limit: int, after: Mark | None = None, wait_s: float = 0.0
    ) -> Tail:
        """Return the newest lines; or those behind a mark, as soon as there are any.

        Args:
            wanted: which ones.
            run: the present run of the supervisor.
            limit: the most lines.
            after: of an earlier answer with the same `wanted`.
            wait_s: how long to wait, with `after`; what is there then may be nothing.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + wait_s
        while True:
            waiter: asyncio.Future[None] = loop.create_future()
            with self._alone() as ring:
                found = tail(ring, wanted, run=run, limit=limit, after=after)
                if after is None or found.lines or found.dropped or loop.time() >= end:
                    return found
                self._waiters.add(waiter)
            after = found.mark  # what was not wanted is not looked at again
            try:
                async with asyncio.timeout_at(end):
                    await waiter
            except TimeoutError:
                pass
            finally:
                self._waiters.discard(waiter)

    @contextmanager
    def _alone(self) -> Generator[Ring, None, None]:
        """Have the ring for oneself."""
        with self._lock:
            yield self._ring
        self._take_in()

    def _take_in(self) -> None:
        """Put what came into the ring, unless somebody has it, who will do it then."""
        while self._inbox and self._lock.acquire(blocking=False):
            try:
                while self._inbox:
                    self._ring.put(*self._inbox.popleft())
            finally:
                self._lock.release()
            self.tell()
            while self._waiters:
                with suppress(KeyError, RuntimeError):  # another thread was faster; its loop was closed
                    waiter = self._waiters.pop()
                    waiter.get_loop().call_soon_threadsafe(_wake_soon, waiter)


def _wake_soon(waiter: asyncio.Future[None]) -> None:
    waiter.get_loop().call_later(_GATHER_S, _wake, waiter)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _micros(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _encode(fields: Mapping[str, Any]) -> bytes:
    """Return the line as JSON; a child's numbers and texts may be such that JSON has none for them."""
    line = {name: _cut(fields[name]) for name in _FRONT if name in fields}
    line |= {name: _cut(value) for name, value in fields.items() if name not in line and name != "time"}
    try:
        return msgspec.json.encode(line, enc_hook=repr)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return msgspec.json.encode({_plain(name): _plain(value) for name, value in line.items()})


def _plain(value: object) -> str:
    """Return a text that can be encoded: without half a surrogate pair."""
    return str(value)[:_MAX_TEXT].encode(errors="backslashreplace").decode()


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _MAX_TEXT:
        return f"{value[:_MAX_TEXT]} [{len(value) - _MAX_TEXT} more]"
    return value
