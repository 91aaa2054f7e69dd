"""Many deadlines on one timer."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextvars import ContextVar
from unittest.mock import Mock

import pytest

from longwire_protocol.deadlines import Deadlines, Timeouts

LONG_S = 3600.0


class Owner:
    """Has some."""

    def __init__(self) -> None:
        self.deadlines = Deadlines[int](self.late)

    def late(self, _: int) -> None:
        """Do nothing."""


async def test_they_are_told_in_the_order_of_their_times_but_for_those_called_off() -> None:
    told = asyncio.Queue[str]()
    deadlines = Deadlines[str](told.put_nowait)
    for key, delay_s in (("never", LONG_S), ("late", 0.02), ("off", 0.005), ("early", 0.01), ("again", 0.0)):
        deadlines.set(key, delay_s)
    deadlines.discard("off")
    deadlines.set("again", 0.03)
    async with asyncio.timeout(30):
        assert [await told.get() for _ in range(3)] == ["early", "late", "again"]


async def test_one_that_is_told_may_be_set_again() -> None:
    told = asyncio.Queue[int]()

    def late(key: int) -> None:
        told.put_nowait(key)
        deadlines.set(key + 1, 0.0)

    deadlines = Deadlines[int](late)
    deadlines.set(1, 0.0)
    async with asyncio.timeout(30):
        assert [await told.get() for _ in range(3)] == [1, 2, 3]


async def test_what_one_of_them_raises_is_not_the_others_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    told, failed = asyncio.Queue[int](), list[dict[str, object]]()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "call_exception_handler", failed.append)

    def late(key: int) -> None:
        told.put_nowait(key)
        if key == 1:
            raise KeyError

    deadlines = Deadlines[int](late)
    for key in range(4):
        deadlines.set(key, 0.0)
    async with asyncio.timeout(30):
        assert [await told.get() for _ in range(4)] == [0, 1, 2, 3]
    assert [type(context["exception"]) for context in failed] == [KeyError]


async def test_the_timer_keeps_neither_their_owner_nor_who_set_one() -> None:
    mine: ContextVar[Owner] = ContextVar("mine")
    owner = Owner()
    mine.set(owner)
    owner.deadlines.set(1, LONG_S)
    gone = weakref.ref(owner)
    mine.set(Owner())
    del owner
    gc.collect()
    assert gone() is None


async def test_those_of_an_owner_that_is_gone_are_told_to_nobody() -> None:
    told, rung = list[int](), asyncio.Event()
    deadlines = Deadlines[int](told.append)
    deadlines.set(1, 0.0)
    del deadlines
    gc.collect()
    asyncio.get_running_loop().call_later(0.0, rung.set)
    await rung.wait()
    assert told == []


async def test_a_thousand_that_are_called_off_leave_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    call_at = Mock(wraps=loop.call_at)
    monkeypatch.setattr(loop, "call_at", call_at)
    deadlines = Deadlines[int](lambda _: None)
    for key in range(1000):
        deadlines.set(key, LONG_S)
        deadlines.discard(key)
    assert call_at.call_count == 1


@pytest.mark.parametrize("delay_s", [-1.0, 0.0, 0.01])
async def test_what_takes_too_long_is_cancelled(delay_s: float) -> None:
    with pytest.raises(TimeoutError), Timeouts().within(delay_s):
        await asyncio.sleep(LONG_S)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_is_in_time_is_left_alone() -> None:
    timeouts = Timeouts()
    with timeouts.within(0.0):
        pass
    with pytest.raises(KeyError), timeouts.within(0.0):
        raise KeyError
    with timeouts.within(LONG_S):
        await asyncio.sleep(0.001)  # past the time of both


async def test_of_two_the_one_that_is_over_is_told() -> None:
    timeouts, reached = Timeouts(), list[str]()
    with timeouts.within(LONG_S):
        with pytest.raises(TimeoutError), timeouts.within(0.0):
            await asyncio.sleep(LONG_S)
        reached.append("outer goes on")
    assert reached
    with pytest.raises(TimeoutError), timeouts.within(0.0), timeouts.within(LONG_S):
        await asyncio.sleep(LONG_S)


async def test_somebody_elses_cancellation_stays_one() -> None:
    timeouts, begun = Timeouts(), asyncio.Event()

    async def work() -> None:
        with timeouts.within(LONG_S):
            begun.set()
            await asyncio.sleep(LONG_S)

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_cancellation_in_the_moment_of_the_deadline_stays_one() -> None:
    timeouts, begun = Timeouts(), asyncio.Event()

    async def work() -> None:
        with timeouts.within(0.0):
            begun.set()
            try:
                await asyncio.sleep(LONG_S)
            except asyncio.CancelledError:
                task.cancel()
                raise

    task = asyncio.create_task(work())
    await begun.wait()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_an_error_on_the_way_out_is_not_hidden() -> None:
    async def work() -> None:
        try:
            await asyncio.sleep(LONG_S)
        finally:
            raise KeyError

    with pytest.raises(KeyError), Timeouts().within(0.0):
        await work()
