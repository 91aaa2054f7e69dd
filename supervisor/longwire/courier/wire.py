"""What supervisor and courier say to each other, over the courier's private pipe alone.

It carries secrets, so it is no socket that anybody could connect to. Each frame has its length in front. A
target is a frame of its own: a thousand of them in one would be megabytes that have to be there at once.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from longwire.courier.target import Target
from longwire_protocol.errors import FrameTooLarge, MalformedFrame

VERSION: Final = 1
"""Of these frames: both sides are of one installation, unless that was replaced while the supervisor ran."""

RESERVED: Final = "webhook:"
"""How the names of subscriptions begin that only the courier may open."""

MAX_FRAME_BYTES: Final = 2 * 1024 * 1024
"""A target with all of its lists and headers full is 1 MB, where each character takes four bytes."""

_LENGTH_BYTES: Final = 4

State = Literal["opening", "delivering", "probing", "resting", "refused"]
"""What a lane does: waits for its subscription; posts; tries with one event; leaves the target alone for a
while; does so because our own policy forbids the post."""


class Welcome(msgspec.Struct, frozen=True, tag=True):
    """The first word: where the events are, and what opens the webhooks' subscriptions."""

    version: int
    endpoint: str
    key: str


class Put(msgspec.Struct, frozen=True, tag=True):
    """Deliver to this target from now on, in the place of the one that had its name."""

    target: Target


class Drop(msgspec.Struct, frozen=True, tag=True):
    """Deliver to this one no more."""

    name: str


class Test(msgspec.Struct, frozen=True, tag=True):
    """Post a made-up event to this target; answered by `Tested`."""

    id: int
    target: Target


class Stop(msgspec.Struct, frozen=True, tag=True):
    """Begin no more posts, wait so long for those under way, and end."""

    grace_s: float


class Ready(msgspec.Struct, frozen=True, tag=True):
    """It has read the welcome and can take targets."""

    version: int


class Beat(msgspec.Struct, frozen=True, tag=True):
    """Made each second by the loop that posts."""

    lag_p99_s: float
    """How late that loop's turns were in the last half minute, at worst but for one of a hundred."""
    under_way: int
    waiting: int
    """Posts that wait for a permit."""
    memory_bytes: int


class LastError(msgspec.Struct, frozen=True):
    """What was last wrong with a target; the text holds no path and no secret."""

    at: float
    message: str
    status: int | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How a target is; counts are of this process. Times are Unix seconds."""

    name: str
    state: State
    queued: int
    under_way: int
    delivered: int
    """Events."""
    failed: int
    """Posts that were not answered with success."""
    superseded: int
    """Events that were not posted because a newer one counts (`latest_wins`)."""
    commands: int
    """Of answers, that were accepted."""
    refused_commands: int
    """Of answers, that were refused for good."""
    breaker: Literal["closed", "open", "probing"]
    failures: int
    """In a row, while the breaker is closed."""
    retry_at: float | None
    last_error: LastError | None
    last_delivered_at: float | None


class Reports(msgspec.Struct, frozen=True, tag=True):
    """How those targets are that have changed since."""

    targets: list[Report]


class Disabled(msgspec.Struct, frozen=True, tag=True):
    """A target said that it wants no more (410); nothing is posted to it until it is put again."""

    name: str
    url: str
    message: str


class Tested(msgspec.Struct, frozen=True, tag=True):
    """What became of a test."""

    id: int
    outcome: Literal["delivered", "failed", "refused", "busy"]
    message: str
    status: int | None
    duration_s: float
    retry_after_s: float | None = None


ToCourier = Welcome | Put | Drop | Test | Stop
FromCourier = Ready | Beat | Reports | Disabled | Tested

_encode = msgspec.msgpack.Encoder().encode


def framed(frame: ToCourier | FromCourier) -> bytes:
    """Return a frame with its length in front.

    Raises:
        FrameTooLarge: over `MAX_FRAME_BYTES`.
    """
    data = _encode(frame)
    if len(data) > MAX_FRAME_BYTES:
        raise FrameTooLarge(len(data), MAX_FRAME_BYTES)
    return len(data).to_bytes(_LENGTH_BYTES, "big") + data


class Unframer:
    """Cuts what comes out of a pipe into frames of one union."""

    def __init__(self, kind: object) -> None:
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[object]:
        """Return the frames that are complete now.

        Raises:
            FrameTooLarge: one is announced that is over the bound.
            MalformedFrame: one is none of these.
        """
        self._rest += data
        frames: list[object] = []
        while len(self._rest) >= _LENGTH_BYTES:
            length = int.from_bytes(self._rest[:_LENGTH_BYTES], "big")
            if length > MAX_FRAME_BYTES:
                raise FrameTooLarge(length, MAX_FRAME_BYTES)
            end = _LENGTH_BYTES + length
            if len(self._rest) < end:
                break
            frames.append(self._decoded(bytes(self._rest[_LENGTH_BYTES:end])))
            del self._rest[:end]
        return frames

    def _decoded(self, data: bytes) -> object:
        try:
            frame: object = self._decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise MalformedFrame(str(exc)) from None  # its cause may hold what it could not read
        return frame
