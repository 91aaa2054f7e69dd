"""A way for frames between two loops of one process, in place of a socket; bounded in both directions.

Each end lives on a loop of its own and behaves as a `Channel` does: a send never waits, `Sent.FULL` says that
the other side does not read, and `on_writable` tells when it does again. What was sent before an end was
closed still arrives, as with a socket that lingers.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context

from longwire_protocol.channel import Receive, Sent

MAX_FRAMES = 64
"""As many as ZeroMQ queues for a client; what is behind them waits in the sender's own bound."""

_READ_BATCH = 64
"""Frames read before other callbacks of the loop get their turn."""


class End:
    """One end of a pipe, used on its own loop only.

    Args:
        loop: on which `receive` and the rest are called.
        context: in which they are called; that of the other side, which wakes this one, is not ours.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, context: Context) -> None:
        self._loop = loop
        self._context = context
        self._lock = threading.Lock()
        self._inbox: deque[bytes | None] = deque()
        """Frames for this end; `None`: the other end is closed, and nothing follows."""
        self._is_called = False
        """Whether a look into the inbox is under way."""
        self._is_awaited = False
        """Whether the other end waits for room in it."""
        self._is_closed = False
        self._other: End | None = None
        self._receive: Receive = _drop
        self._on_writable: Callable[[], None] = _nothing
        self._on_closed: Callable[[], None] = _nothing

    def join(self, other: End) -> None:
        """Have this one on the other side."""
        self._other = other

    def open(
        self, receive: Receive, *, on_writable: Callable[[], None], on_closed: Callable[[], None]
    ) -> None:
        """Begin to read.

        Args:
            receive: called with the parts of each message, one; must not raise, must not wait.
            on_writable: called when a pipe that was full has room again.
            on_closed: called once, when the other end is closed or its loop is gone.
        """
        self._receive, self._on_writable, self._on_closed = receive, on_writable, on_closed

    def send(self, parts: Sequence[bytes]) -> Sent:
        """Send one message, the last part, without waiting."""
        other = self._other
        sent = Sent.GONE if other is None or self._is_closed else other.take(parts[-1])
        if sent is Sent.GONE:
            self._tell_closed()
        return sent

    def close(self, *, linger_ms: int = 0) -> None:
        """Say no more, and hear no more."""
        del linger_ms  # what was sent is there already
        if not self._is_closed:
            self._is_closed = True
            self._inbox.clear()
            if self._other is not None:
                self._other.take(None)

    def take(self, frame: bytes | None) -> Sent:
        """Take a frame of the other end, on that one's thread."""
        with self._lock:
            if self._is_closed:
                return Sent.GONE
            if frame is not None and len(self._inbox) >= MAX_FRAMES:
                self._is_awaited = True
                return Sent.FULL
            self._inbox.append(frame)
            if self._is_called:
                return Sent.OK
            self._is_called = True
        return Sent.OK if self._call(self._read) else Sent.GONE

    def _call(self, callback: Callable[[], None]) -> bool:
        """Have this called on this end's loop; return whether there still is one."""
        try:
            self._loop.call_soon_threadsafe(callback, context=self._context)
        except RuntimeError:  # it is closed
            self._is_closed = True
            return False
        return True

    def _read(self) -> None:
        for _ in range(_READ_BATCH):
            with self._lock:
                if not self._inbox or self._is_closed:
                    self._is_called = False
                    break
                frame = self._inbox.popleft()
            if frame is None:
                self._tell_closed()
                return
            self._receive([frame])
        else:
            self._loop.call_soon(self._read)
        if self._is_awaited and self._other is not None:
            self._is_awaited = False
            self._other._call(self._other._writable)  # noqa: SLF001  the same class

    def _writable(self) -> None:
        if not self._is_closed:
            self._on_writable()

    def _tell_closed(self) -> None:
        """Tell it later: whoever sends is in the middle of something."""
        self._is_closed = True
        on_closed, self._on_closed = self._on_closed, _nothing
        self._loop.call_soon(on_closed)


def pipe(one: End, other: End) -> tuple[End, End]:
    """Return two ends, joined."""
    one.join(other)
    other.join(one)
    return one, other


def _drop(_parts: list[bytes]) -> None:
    """Nobody listens."""


def _nothing() -> None:
    """Nobody wants to know."""
