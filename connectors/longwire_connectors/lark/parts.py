"""Messages in several frames, put together again. Pure: the time is given.

Replaces the SDK's own `_combine` (ws/client.py 450-466), which calls the handler once per part when a message
is delivered again within 5 s, never completes a message with an empty part, and fails on `seq >= sum`.
"""

from __future__ import annotations

import msgspec

MAX_PARTS = 1024
"""More is no message of Lark's: 1,024 parts of any frame size seen exceed `MAX_BYTES` by far."""
MAX_BYTES = 16 * 1024 * 1024
"""Of all unfinished messages together; the largest whole frame accepted is half of that."""
PLACE_BYTES = 64
"""What an empty place counts, so that many messages of many missing parts are bounded too."""
KEPT_S = 10.0
"""How long an unfinished message waits for its next part: as in the Node SDK; the Python SDK waits 5 s."""


class MalformedPart(ValueError):
    """A part that belongs to no message: its number or count makes no sense."""


class _Unfinished(msgspec.Struct):
    parts: list[bytes | None]
    missing: int
    size_bytes: int
    touched_at: float


class Parts:
    """Holds the parts of unfinished messages, the oldest giving way when there is no room."""

    def __init__(self, *, max_bytes: int = MAX_BYTES, kept_s: float = KEPT_S) -> None:
        self.dropped = 0
        """Unfinished messages given up so far, for lack of a part or of room."""
        self._max_bytes = max_bytes
        self._kept_s = kept_s
        self._unfinished: dict[str, _Unfinished] = {}  # in the order in which they were last touched
        self._size_bytes = 0

    def add(self, key: str, *, part: int, count: int, data: bytes, now: float) -> bytes | None:
        """Return the whole message if this part completes it.

        A completed message is forgotten at once, so a redelivery is put together anew and comes out once.

        Raises:
            MalformedPart: `part` is not one of `count`, or `count` is beyond reason or not what it was.
        """
        self._expire(now)
        if not (0 <= part < count <= MAX_PARTS):
            raise MalformedPart(f"part {part} of {count}")
        message = self._take(key) or _new(count, now=now)
        if len(message.parts) != count:
            self.dropped += 1
            raise MalformedPart(f"a part of {count} for a message of {len(message.parts)}")
        _put(message, part, data)
        if not message.missing:
            return b"".join(piece for piece in message.parts if piece is not None)
        message.touched_at = now
        self._keep(key, message)
        return None

    def _take(self, key: str) -> _Unfinished | None:
        message = self._unfinished.pop(key, None)
        if message is not None:
            self._size_bytes -= message.size_bytes
        return message

    def _keep(self, key: str, message: _Unfinished) -> None:
        self._unfinished[key] = message
        self._size_bytes += message.size_bytes
        while self._size_bytes > self._max_bytes:
            self._drop_oldest()

    def _expire(self, now: float) -> None:
        while self._unfinished:
            oldest = next(iter(self._unfinished.values()))
            if now - oldest.touched_at <= self._kept_s:
                return
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        self._take(next(iter(self._unfinished)))
        self.dropped += 1


def _new(count: int, *, now: float) -> _Unfinished:
    return _Unfinished(parts=[None] * count, missing=count, size_bytes=PLACE_BYTES * count, touched_at=now)


def _put(message: _Unfinished, part: int, data: bytes) -> None:
    old = message.parts[part]
    if old is None:
        message.missing -= 1
    message.size_bytes += len(data) - len(old or b"")
    message.parts[part] = data
