"""Tasks that do one piece of work after another."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from longwire_protocol.workers import Workers


async def test_as_many_work_at_once_as_there_is_work_and_few_stay() -> None:
    gate, done = asyncio.Event(), list[int]()

    async def work(number: int) -> None:
        await gate.wait()
        done.append(number)

    async with asyncio.TaskGroup() as tasks:
        workers = Workers(tasks, name="w", most_idle=8)
        for number in range(24):
            workers.run(work(number))
        assert workers.is_busy
        gate.set()
        await workers.rest()
        assert (sorted(done), workers.is_busy) == (list(range(24)), False)
        await asyncio.sleep(0)
        assert len(workers._tasks) == 8
        workers.cancel()


async def test_work_is_done_by_who_has_done_some() -> None:
    by: list[asyncio.Task[object] | None] = []

    async def work() -> None:
        by.append(asyncio.current_task())

    async with asyncio.TaskGroup() as tasks:
        workers = Workers(tasks, name="w", most_idle=8)
        for _ in range(3):
            workers.run(work())
            await workers.rest()
        workers.cancel()
    assert len(set(by)) == 1


@pytest.mark.parametrize("is_idle", [True, False], ids=["idle", "new"])
async def test_work_that_is_given_in_the_turn_of_the_end_is_given_up(*, is_idle: bool) -> None:
    begun: list[str] = []

    async def work() -> None:
        begun.append("it")

    async with asyncio.TaskGroup() as tasks:
        workers = Workers(tasks, name="w", most_idle=8)
        if is_idle:
            workers.run(work())
            await workers.rest()
            begun.clear()
        workers.run(work())
        workers.cancel()
    assert (begun, workers.is_busy) == ([], False)


async def test_nothing_begins_after_their_end_and_they_all_end() -> None:
    async def quick() -> None:
        """Leaves one of them idle."""

    async def stubborn() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        workers = Workers(tasks, name="w", most_idle=8)
        for work in (quick(), stubborn()):
            workers.run(work)
        await asyncio.sleep(0)
        workers.cancel()
        with pytest.raises(RuntimeError):
            workers.run(quick())
    assert not workers.is_busy


async def test_rest_is_not_over_while_there_is_work_again() -> None:
    gate, loop = asyncio.Event(), asyncio.get_running_loop()
    go, begun = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        await go.wait()
        loop.call_soon(lambda: workers.run(second()))  # before who rests is woken

    async def second() -> None:
        begun.set()
        await gate.wait()

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        workers = Workers(tasks, name="w", most_idle=8)
        workers.run(first())
        resting = tasks.create_task(workers.rest())
        await asyncio.sleep(0)
        go.set()
        await begun.wait()
        assert not resting.done()
        gate.set()
        await resting
        assert not workers.is_busy
        workers.cancel()


async def test_work_under_way_ends_with_them() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        workers = Workers(tasks, name="w", most_idle=8)
        workers.run(work())
        await asyncio.sleep(0)
        workers.cancel()
    assert not workers.is_busy
