"""The frames of the courier's pipe, cut out of what comes in pieces."""

from __future__ import annotations

import pytest

from longwire.courier import wire
from longwire.courier.target import Target
from longwire.courier.wire import Drop, Put, Ready, Stop, ToCourier, Unframer, Welcome, framed
from longwire_protocol.errors import FrameTooLarge, MalformedFrame

FRAMES = [
    Welcome(1, "ipc:///x", "key"),
    Put(Target(name="crm", url="https://crm.example", headers={"X-A": "b"}, types=("a", "b"))),
    Drop("crm"),
    Stop(2.0),
]


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_frames_are_the_same_in_whatever_pieces_they_come(size: int) -> None:
    data = b"".join(map(framed, FRAMES))
    unframer = Unframer(ToCourier)
    found = [frame for at in range(0, len(data), size) for frame in unframer.feed(data[at : at + size])]
    assert found == FRAMES


def test_a_frame_over_the_bound_is_neither_sent_nor_waited_for() -> None:
    with pytest.raises(FrameTooLarge):
        framed(Drop("x" * wire.MAX_FRAME_BYTES))
    with pytest.raises(FrameTooLarge):
        Unframer(ToCourier).feed((wire.MAX_FRAME_BYTES + 1).to_bytes(4, "big"))


def test_what_is_no_such_frame_is_refused_without_what_it_held() -> None:
    with pytest.raises(MalformedFrame):
        Unframer(ToCourier).feed(framed(Ready(1)))
    with pytest.raises(MalformedFrame) as caught:
        Unframer(ToCourier).feed(b"\x00\x00\x00\x04\xc1abc")
    assert caught.value.__cause__ is None
