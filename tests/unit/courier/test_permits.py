"""Permits: bounded in all, dealt out in turn, and never all in the hands of those that hang."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import AsyncExitStack, asynccontextmanager

from longwire.courier.permits import Permits


class Crowd:
    """Tasks that ask for a permit, and hold it until they are told to let it go."""

    def __init__(self, permits: Permits, tasks: asyncio.TaskGroup) -> None:
        self._permits = permits
        self._tasks = tasks
        self._let_go: dict[asyncio.Task[None], asyncio.Event] = {}
        self.holding: list[Hashable] = []
        """In the order in which they got it."""
        self.held_by: dict[Hashable, list[asyncio.Task[None]]] = {}

    async def ask(
        self, target: Hashable, *, count: int = 1, is_proven: bool = True
    ) -> list[asyncio.Task[None]]:
        """Ask so often; return when everybody has got it or waits."""
        made = [
            self._tasks.create_task(self._hold(target, is_proven=is_proven), name=f"{target}")
            for _ in range(count)
        ]
        await turns()
        return made

    def let_go_at_once(self, task: asyncio.Task[None]) -> None:
        """Let it go, and wait for nobody."""
        self._let_go[task].set()

    async def let_go(self, target: Hashable) -> None:
        """Let its oldest permit go."""
        self._let_go[self.held_by[target].pop(0)].set()
        await turns()

    async def _hold(self, target: Hashable, *, is_proven: bool) -> None:
        async with self._permits.one(target, is_proven=is_proven):
            task = asyncio.current_task()
            assert task is not None
            self.holding.append(target)
            self.held_by.setdefault(target, []).append(task)
            self._let_go[task] = asyncio.Event()
            await self._let_go[task].wait()


async def turns() -> None:
    """Let everybody go as far as they can."""
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def crowd(in_all: int) -> AsyncIterator[tuple[Permits, Crowd]]:
    """In the end nobody holds or waits."""
    permits = Permits(in_all)
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        mine = asyncio.current_task()
        before = asyncio.all_tasks()
        yield permits, Crowd(permits, tasks)
        for task in asyncio.all_tasks() - before - {mine}:
            task.cancel()
    assert (permits.held, permits.waiting) == (0, 0)
    assert not permits._held_by
    assert not permits._queues
    assert permits._held_unproven == 0


async def test_no_more_are_held_than_there_are() -> None:
    async with crowd(4) as (permits, them):
        for target in range(6):
            await them.ask(target)
        assert (permits.held, permits.waiting) == (4, 2)
        await them.let_go(0)
        assert (permits.held, permits.waiting) == (4, 1)
        assert them.holding == [0, 1, 2, 3, 4]


async def test_half_are_kept_for_targets_that_have_none() -> None:
    async with crowd(8) as (permits, them):
        await them.ask("hangs", count=8)
        assert permits.held == 5  # its first, and half of all
        await them.ask("hangs too", count=8)
        assert permits.held == 6
        await them.ask("good")
        assert them.holding[-1] == "good"


async def test_half_are_kept_for_those_whose_last_post_succeeded() -> None:
    async with crowd(8) as (permits, them):
        for n in range(8):
            await them.ask(f"bad {n}", is_proven=False)
        assert permits.held == 4
        await them.ask("good", count=2)
        assert them.holding[-2:] == ["good", "good"]


async def test_targets_take_turns_whoever_asked_for_many() -> None:
    async with crowd(2) as (_, them):
        await them.ask("first", is_proven=False)
        await them.ask("greedy", count=3, is_proven=False)
        await them.ask("modest", count=2, is_proven=False)
        for target in ("first", "greedy", "modest", "greedy", "modest"):
            await them.let_go(target)
        assert them.holding == ["first", "greedy", "modest", "greedy", "modest", "greedy"]


async def test_who_waits_for_more_and_has_none_left_is_served_as_somebody_who_has_none() -> None:
    async with crowd(4) as (_, them):
        await them.ask("hangs", count=4)
        assert them.holding == 3 * ["hangs"]
        await them.ask("good", count=2)
        assert them.holding[3:] == ["good"]  # its second waits for what is held by the other
        await them.let_go("good")
        assert them.holding[3:] == ["good", "good"]


async def test_a_target_that_fails_while_it_waits_waits_as_one_that_failed() -> None:
    async with crowd(4) as (permits, them):
        await them.ask("hangs", count=3)
        await them.ask("changes", count=2)
        assert (permits.held, permits.waiting) == (4, 1)
        await them.ask("changes", is_proven=False)
        assert permits.waiting == 2
        await them.let_go("hangs")
        assert permits.waiting == 1
        await them.let_go("hangs")
        assert (permits.held, permits.waiting) == (4, 0)
        assert permits._held_unproven == 2


async def test_who_is_cancelled_while_waiting_takes_nothing_along() -> None:
    async with crowd(1) as (permits, them):
        await them.ask("first")
        (second,) = await them.ask("second")
        await them.ask("third")
        second.cancel()
        await turns()
        assert (second.cancelled(), permits.waiting) == (True, 1)
        await them.let_go("first")
        assert them.holding == ["first", "third"]


async def test_who_is_cancelled_when_its_turn_comes_gives_it_on() -> None:
    async with crowd(1) as (permits, them):
        (first,) = await them.ask("first")
        (second,) = await them.ask("second")
        await them.ask("third")
        them.let_go_at_once(first)
        await asyncio.sleep(0)  # the first gives it back: the second has it, and has not run
        second.cancel()
        await turns()
        assert second.cancelled()
        assert them.holding == ["first", "third"]
        assert permits.held == 1


async def test_whose_turn_comes_after_it_was_cancelled_is_passed_over() -> None:
    async with crowd(1) as (permits, them):
        (first,) = await them.ask("first")
        (second,) = await them.ask("second")
        (third,) = await them.ask("third")
        for task in (first, second):  # both in the same turn of the loop
            task.cancel()
        await turns()
        assert (first.cancelled(), second.cancelled(), third.done()) == (True, True, False)
        assert them.holding == ["first", "third"]
        assert permits.held == 1
