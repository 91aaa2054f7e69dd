"""A pipe between two loops: in order, bounded, and honest about who is gone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextvars import copy_context

import pytest

from harness.waiting import DEADLINE_S
from longwire.embedding.pipe import MAX_FRAMES, End, pipe
from longwire_protocol.channel import Sent


class Reader:
    """What an end has heard."""

    def __init__(self, end: End) -> None:
        self.end = end
        self.frames: list[bytes] = []
        self.threads: set[int] = set()
        self.room = asyncio.Event()
        self.closed = asyncio.Event()
        self.closings = 0
        self.end.open(self.receive, on_writable=self.room.set, on_closed=self.is_closed)

    def receive(self, parts: list[bytes]) -> None:
        self.frames += parts
        self.threads.add(threading.get_ident())

    def is_closed(self) -> None:
        self.closings += 1
        self.closed.set()


@pytest.fixture(name="other_loop")
async def other_loop_fixture() -> AsyncIterator[asyncio.AbstractEventLoop]:
    """A loop on a thread of its own."""
    loop = asyncio.SelectorEventLoop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    if not loop.is_closed():
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join)
        loop.close()


async def on(loop: asyncio.AbstractEventLoop, work: object) -> object:
    """Do something on another loop."""

    async def do() -> object:
        assert callable(work)
        return work()

    async with asyncio.timeout(DEADLINE_S):
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(do(), loop))


async def test_frames_come_in_order_on_the_readers_own_loop(other_loop: asyncio.AbstractEventLoop) -> None:
    ours, theirs = pipe(End(asyncio.get_running_loop(), copy_context()), End(other_loop, copy_context()))
    here, there = Reader(ours), Reader(theirs)
    sent = 0
    async with asyncio.timeout(DEADLINE_S):
        while sent < 50 * MAX_FRAMES:
            if ours.send([b"address", b"%d" % sent]) is Sent.OK:
                sent += 1
            else:
                here.room.clear()
                await here.room.wait()
        ours.close()
        while there.closings == 0:
            await on(other_loop, lambda: None)
    assert there.frames == [b"%d" % n for n in range(sent)], "what was sent before the end arrives"
    assert there.threads.isdisjoint({threading.get_ident()})
    assert there.closings == 1
    assert here.closings == 0


async def test_a_reader_that_does_not_read_is_full_and_tells_of_room(
    other_loop: asyncio.AbstractEventLoop,
) -> None:
    ours, theirs = pipe(End(asyncio.get_running_loop(), copy_context()), End(other_loop, copy_context()))
    here, there = Reader(ours), Reader(theirs)
    gate = threading.Event()
    other_loop.call_soon_threadsafe(gate.wait)  # it is blocked
    try:
        answers = [ours.send([b"frame"]) for _ in range(MAX_FRAMES + 5)]
    finally:
        gate.set()
    assert answers == [Sent.OK] * MAX_FRAMES + [Sent.FULL] * 5
    async with asyncio.timeout(DEADLINE_S):
        await here.room.wait()
    assert len(there.frames) == MAX_FRAMES
    assert ours.send([b"one more"]) is Sent.OK


async def test_an_end_whose_loop_is_closed_is_gone(other_loop: asyncio.AbstractEventLoop) -> None:
    ours, theirs = pipe(End(asyncio.get_running_loop(), copy_context()), End(other_loop, copy_context()))
    here, _ = Reader(ours), Reader(theirs)
    closed = asyncio.SelectorEventLoop()
    closed.close()
    theirs._loop = closed
    assert ours.send([b"frame"]) is Sent.GONE
    assert ours.send([b"frame"]) is Sent.GONE
    async with asyncio.timeout(DEADLINE_S):
        await here.closed.wait()
    assert here.closings == 1


async def test_a_closed_end_hears_nothing_more() -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = pipe(End(loop, copy_context()), End(loop, copy_context()))
    here, there = Reader(ours), Reader(theirs)
    theirs.send([b"never read"])
    ours.close()
    async with asyncio.timeout(DEADLINE_S):
        await there.closed.wait()
    assert here.frames == []
    assert theirs.send([b"too late"]) is Sent.GONE
    assert (here.closings, there.closings) == (0, 1)
