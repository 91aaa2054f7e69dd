"""Frames under way."""

import asyncio
import logging

import pytest

from longwire_connectors.lark.inflight import Inflight

DEADLINE_S = 10.0


async def test_frames_start_in_their_order_and_are_bounded() -> None:
    started: list[int] = []
    go_on = asyncio.Event()

    async def work(number: int) -> None:
        started.append(number)
        await go_on.wait()

    frames = Inflight(name="frame", limit=3)
    for number in range(3):
        await frames.room()
        frames.start(work(number))
    waiting = asyncio.ensure_future(frames.room())
    done, _ = await asyncio.wait([waiting], timeout=0.02)
    assert (done, started) == (set(), [0, 1, 2])
    go_on.set()
    async with asyncio.timeout(DEADLINE_S):
        await waiting
        await frames.finish(grace_s=1.0)


async def test_the_end_waits_a_little_and_then_for_nobody() -> None:
    ends: list[str] = []

    async def work(name: str, wait_s: float) -> None:
        try:
            await asyncio.sleep(wait_s)
            ends.append(f"{name} done")
        except asyncio.CancelledError:
            ends.append(f"{name} cancelled")
            raise

    frames = Inflight(name="frame")
    frames.start(work("quick", 0.0))
    frames.start(work("slow", 1000.0))
    async with asyncio.timeout(DEADLINE_S):
        await frames.finish(grace_s=0.1)
        await frames.finish(grace_s=0.1)
    assert ends == ["quick done", "slow cancelled"]


async def test_a_failure_is_logged_and_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        raise LookupError("made up")

    frames = Inflight(name="frame")
    with caplog.at_level(logging.ERROR):
        frames.start(work())
        await frames.finish(grace_s=1.0)
    assert [record.getMessage() for record in caplog.records] == ["frame_handling_failed"]
