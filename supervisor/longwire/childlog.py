"""What a child prints: always read, so that a full pipe never blocks it; bounded, redacted, counted."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from contextlib import suppress
from typing import Any

import msgspec

from longwire.logger import get_logger
from longwire.pacing import TokenBucket
from longwire_protocol.redaction import Redactor

_READ_BYTES = 65536
_MAX_LINE_BYTES = 16384
_LINES_PER_S = 50.0
_LINES_BURST = 500
"""A traceback is some 50 lines; a child that floods must not fill the operator's disk or our time.
Empty lines count, too, though they are not logged: to tell them apart would cost what not looking saves."""

_OURS = frozenset(
    {"account", "incarnation", "source", "tenant", "self", "exc_info", "stack_info", "timestamp"}
)
"""Names that a child's line may not use: they say who speaks, or mean something to the logger."""

_PAUSE_S = 0.01
"""How long the pipe of a child that says too much is left alone, else its flood takes a whole core of ours.
It is read of at most 6 MB/s by that, and the child waits where its pipe is full."""

_LAST_READS = 16

_LAST_LINES, _LAST_LINE_CHARS = 20, 500
"""Kept in memory of each child: 10 kB at most."""

_LEVELS = frozenset({"debug", "info", "warning", "error", "critical"})


class ChildLog:
    """Reads the log pipe of one child and logs its lines under the account's name.

    Args:
        fd: the read end; owned and closed by this object.
        redact: blanks secrets once more.
        context: fields for each line, as `account` and `incarnation`; the child's own also get `source`.
    """

    def __init__(self, fd: int, *, redact: Redactor, context: dict[str, Any]) -> None:
        self._fd: int | None = fd
        self._redact = redact
        self._log = get_logger("longwire.child").bind(**context)
        self._loop = asyncio.get_running_loop()
        self._partial = b""
        self._dropped = 0
        self.last: deque[str] = deque(maxlen=_LAST_LINES)
        """The last lines, redacted, for whoever wants to know how it ended."""
        self._timer: asyncio.TimerHandle | None = None
        now = self._loop.time()
        self._budget = TokenBucket(rate_per_s=_LINES_PER_S, burst=_LINES_BURST, now=now)
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._read)

    def close(self) -> None:
        """Read what is left and stop."""
        for _ in range(_LAST_READS):  # a process that escaped its group may hold the other end for ever
            if not self._read():
                break
        if self._fd is not None:
            self._end()

    def _read(self) -> bool:
        """Read once; return whether more may come at once."""
        if self._fd is None:
            return False
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._end()
            return False
        self._hear(self._partial + data)
        if len(self._partial) > _MAX_LINE_BYTES:
            self._hear(self._partial + b"\n")
        return True

    def _hear(self, data: bytes) -> None:
        """Log the lines in it, as many as there may be; only count the others, be they thousands."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            if self._budget.take(self._loop.time()) > 0:
                self._dropped += data.count(b"\n", start)
                start = data.rfind(b"\n") + 1
                self._pause()
                break
            self._line(data[start:end])
            start = end + 1
        self._partial = data[start:]

    def _pause(self) -> None:
        if self._fd is not None and self._timer is None:
            self._loop.remove_reader(self._fd)
            self._timer = self._loop.call_later(_PAUSE_S, self._go_on, self._fd)

    def _go_on(self, fd: int) -> None:
        self._timer = None
        self._loop.add_reader(fd, self._read)

    def _end(self) -> None:
        fd, self._fd = self._fd, None
        if fd is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(fd)
        os.close(fd)
        if self._partial:
            self._hear(self._partial + b"\n")
        if self._dropped:
            self._log.warning("child_log_lines_dropped", lines=self._dropped)

    def _line(self, line: bytes) -> None:
        if not line.strip():
            return
        if self._dropped:
            self._log.warning("child_log_lines_dropped", lines=self._dropped)
            self._dropped = 0
        text = self._redact(line[:_MAX_LINE_BYTES].decode(errors="replace"))
        self.last.append(text[:_LAST_LINE_CHARS])
        fields = _parse(text)
        level = fields.pop("level", None)
        log = getattr(self._log, level if isinstance(level, str) and level in _LEVELS else "info")
        log(fields.pop("event"), source="child", **fields)


def _parse(text: str) -> dict[str, Any]:
    """Return the fields of a line of `longwire_connectors.childlog`; anything else is printed by an SDK."""
    with suppress(msgspec.DecodeError, msgspec.ValidationError):
        fields = msgspec.json.decode(text, type=dict[str, Any])
        if isinstance(fields.get("event"), str):
            return {("child_" + k if k in _OURS else k): v for k, v in fields.items()}
    return {"event": "output", "text": text}
