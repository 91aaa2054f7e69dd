"""Tasks that do one piece of work after another."""

from __future__ import annotations

import asyncio

import pytest

from longwire_connectors.workers import _MOST_IDLE, Workers


async def test_as_many_work_at_once_as_there_is_work_and_few_stay() -> None:
    gate, done = asyncio.Event(), list[int]()

    async def work(number: int) -> None:
        await gate.wait()
        done.append(number)

    async with asyncio.TaskGroup() as tasks:
        workers = Workers(tasks, name="w")
        for number in range(3 * _MOST_IDLE):
            workers.run(work(number))
        assert workers.is_busy
        gate.set()
        await workers.rest()
        assert (sorted(done), workers.is_busy) == (list(range(3 * _MOST_IDLE)), False)
        await asyncio.sleep(0)
        assert len(workers._tasks) == _MOST_IDLE
        workers.cancel()


async def test_work_is_done_by_who_has_done_some() -> None:
    by: list[asyncio.Task[object] | None] = []

    async def work() -> None:
        by.append(asyncio.current_task())

    async with asyncio.TaskGroup() as tasks:
        workers = Workers(tasks, name="w")
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
        workers = Workers(tasks, name="w")
        if is_idle:
            workers.run(work())
            await workers.rest()
            begun.clear()
        workers.run(work())
        workers.cancel()
    assert (begun, workers.is_busy) == ([], False)


async def test_work_under_way_ends_with_them() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        workers = Workers(tasks, name="w")
        workers.run(work())
        await asyncio.sleep(0)
        workers.cancel()
    assert not workers.is_busy
