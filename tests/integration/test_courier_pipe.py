"""The private pipe between supervisor and courier, over a real socket pair."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from longwire.courier import pipe as pipe_module
from longwire.courier.pipe import Pipe, open_pipe
from longwire.courier.wire import Drop, FromCourier, Ready, ToCourier

DEADLINE_S = 30.0


class End:
    """One end, with what was heard there and why it ended."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.lost: list[str] = []
        self.news = asyncio.Event()

    async def open(self, end: socket.socket, kind: object) -> Pipe:
        self.pipe = await open_pipe(end, kind, heard=self._hear, lost=self._lose)
        return self.pipe

    def _hear(self, frame: object) -> None:
        self.heard.append(frame)
        self.news.set()

    def _lose(self, why: str) -> None:
        self.lost.append(why)
        self.news.set()

    async def wait(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            await self.news.wait()
        self.news.clear()


@pytest.fixture
async def parent() -> AsyncIterator[tuple[End, socket.socket]]:
    ours, theirs = socket.socketpair()
    end = End()
    await end.open(ours, FromCourier)
    yield end, theirs
    end.pipe.close()
    theirs.close()


async def test_frames_cross_and_the_end_of_one_is_told_to_the_other(
    parent: tuple[End, socket.socket],
) -> None:
    ours, theirs = parent
    courier = End()
    await courier.open(theirs, ToCourier)
    assert ours.pipe.send(Drop("crm"))
    await courier.wait()
    assert courier.heard == [Drop("crm")]
    assert courier.pipe.send(Ready(1))
    await ours.wait()
    assert ours.heard == [Ready(1)]
    courier.pipe.close()
    courier.pipe.close()
    await ours.wait()
    assert len(ours.lost) == 1
    assert courier.lost == []
    assert not ours.pipe.send(Drop("crm"))
    await ours.pipe.drained()  # nobody waits for one that is gone


async def test_what_nobody_understands_ends_it(parent: tuple[End, socket.socket]) -> None:
    ours, theirs = parent
    theirs.sendall(b"\x00\x00\x00\x01\xc1")
    await ours.wait()
    assert "understand" in ours.lost[0]


async def test_who_does_not_read_is_given_up(
    parent: tuple[End, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe_module, "MAX_UNREAD_BYTES", 1_000_000)
    ours, _ = parent
    sent = 0
    while ours.pipe.send(Drop("x" * 100_000)):
        sent += 1
    assert 10 <= sent < 100
    assert ours.lost == ["it does not read"]
