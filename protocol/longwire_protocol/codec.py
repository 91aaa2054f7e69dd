"""Bytes to Structs and back, with a size limit and errors that name the place."""

from __future__ import annotations

import math
import struct
from functools import lru_cache
from typing import Any, Generic, TypeVar

import msgspec

from longwire_protocol.errors import FrameTooLarge, MalformedFrame
from longwire_protocol.event import Delivery

T = TypeVar("T")

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""Largest frame read on any channel: a batch of events, each far below it (Lark's largest are some MiB)."""

MAX_REQUEST_BYTES = 4 * 1024 * 1024
"""Largest frame read from a client: text, cards and acks; media go by path or resource id."""

_ENCODER = msgspec.msgpack.Encoder()

encode = _ENCODER.encode
"""Encode a frame to bytes."""

encode_event = _ENCODER.encode
"""Encode an event for the journal: the same bytes, named for the reader."""


class Decoder(Generic[T]):
    """Reads frames of one union of Structs."""

    def __init__(self, frame_type: Any, *, max_bytes: int = MAX_FRAME_BYTES) -> None:
        self._decode = msgspec.msgpack.Decoder(frame_type).decode
        self._max_bytes = max_bytes

    def __call__(self, data: bytes) -> T:
        """Return the frame in `data`.

        Raises:
            FrameTooLarge: over the limit.
            MalformedFrame: not MessagePack, not a known kind, or a field of the wrong shape.
        """
        if len(data) > self._max_bytes:
            raise FrameTooLarge(len(data), self._max_bytes)
        try:
            frame: T = self._decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            raise MalformedFrame(str(exc)) from exc
        return frame


class _Head(msgspec.Struct):
    kind: Any = None
    id: Any = None


_decode_head = msgspec.msgpack.Decoder(_Head).decode


def request_id(data: bytes) -> int | str | None:
    """Return the id of what would be a request, could it be read; `None` where that cannot be told.

    Larger frames than `MAX_FRAME_BYTES` are not looked into.
    """
    if len(data) > MAX_FRAME_BYTES:
        return None
    try:
        head = _decode_head(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    is_request = head.kind == "request" and isinstance(head.id, int | str)
    return head.id if is_request else None


_FIXMAP, _FIXMAP_END, _MAP16 = 0x80, 0x90, 0xDE
_MAP16_PAIRS = 0xFFFF
BODY_HEADER_BYTES = 3
"""What of a body `is_body` looks at, at most."""

_RESPOND_BY_KEY = b"\xaarespond_by\xcb"
_RESPOND_BY = struct.Struct(f">{len(_RESPOND_BY_KEY)}sd")
"""The first pair of a click that may be answered, as `encode_event` writes it."""

_SEQ_KEY = b"\xa3seq"
_DELIVERY_KEY = b"\xa8delivery"
_FIRST_DELIVERY = _DELIVERY_KEY + _ENCODER.encode(Delivery(attempt=1, redelivered=False))


def with_delivery(body: bytes, seq: int, *, attempt: int, now: float = math.inf) -> bytes:
    """Return an event's stored bytes with `seq` and `delivery` in front; the body is not decoded.

    Args:
        body: a MessagePack map of at most 65,533 pairs, as a child sends it.
        seq: the event's position in the journal.
        attempt: 1 for the first delivery to the subscription.
        now: Unix seconds; an event that had to be responded to before says nothing of that any more. By
            default none does.

    Raises:
        MalformedFrame: `body` does not begin with a map.
    """
    head, start = _head(body[:BODY_HEADER_BYTES])
    if body.startswith(_RESPOND_BY_KEY, start) and _RESPOND_BY.unpack_from(body, start)[1] <= now:
        head, start = _head(body[:BODY_HEADER_BYTES], fewer=1)[0], start + _RESPOND_BY.size
    if attempt == 1:
        delivery = _FIRST_DELIVERY
    else:
        delivery = _DELIVERY_KEY + _ENCODER.encode(Delivery(attempt=attempt, redelivered=True))
    return b"".join((head, _ENCODER.encode(seq), delivery, body[start:]))


def is_body(body: bytes) -> bool:
    """Return whether `with_delivery` can take these bytes: asked before they are stored, not after."""
    try:
        _head(body[:BODY_HEADER_BYTES])
    except MalformedFrame:
        return False
    return True


@lru_cache(maxsize=1024)
def _head(header: bytes, fewer: int = 0) -> tuple[bytes, int]:
    """Return what goes before the new `seq` if `fewer` pairs of the map go on, and where its pairs begin."""
    first = header[0] if header else 0
    if _FIXMAP <= first < _FIXMAP_END:
        pairs, start = (first & 0x0F) + 2, 1
    else:
        pairs, start = int.from_bytes(header[1:], "big") + 2, BODY_HEADER_BYTES
        if first != _MAP16 or len(header) < BODY_HEADER_BYTES or pairs > _MAP16_PAIRS:
            raise MalformedFrame("an event's body must be a MessagePack map of at most 65,533 pairs")
    pairs -= fewer
    map_header = bytes((_FIXMAP | pairs,)) if pairs < 16 else b"\xde" + pairs.to_bytes(2, "big")  # noqa: PLR2004
    return map_header + _SEQ_KEY, start
