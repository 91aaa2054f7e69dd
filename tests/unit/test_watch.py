"""The look at all silences, on a loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from harness.waiting import until
from longwire.vigil import Stage
from longwire.watch import Watch

LIMIT_S = 0.3


class Silent:
    """Never beats, and notes in which turn of the loop it hears of that."""

    def __init__(self, turns: list[int], clock: list[int]) -> None:
        self._turns, self._clock = turns, clock
        self.heard: list[Stage] = []

    def on_silence(self, stage: Stage) -> None:
        self._turns.append(self._clock[0])
        self.heard.append(stage)


class Broken:
    """Fails whenever it is told of its silence."""

    def __init__(self) -> None:
        self.heard: list[Stage] = []

    def on_silence(self, stage: Stage) -> None:
        self.heard.append(stage)
        raise RuntimeError("no evidence")


@pytest.fixture(name="watch")
async def watch_fixture() -> AsyncIterator[Watch]:
    watch = Watch(lambda: None)
    yield watch
    watch.close()


async def test_an_error_for_one_child_ends_the_watch_over_nobody_and_not_even_over_that_one(
    watch: Watch,
) -> None:
    broken, healthy = Broken(), Silent([], [0])
    with capture_logs() as logs:
        watch.begin(broken, limit_s=LIMIT_S)
        watch.begin(healthy, limit_s=LIMIT_S)

        async def are_both_over_twice() -> bool:
            return all(each.heard.count(Stage.OVER) >= 2 for each in (broken, healthy))

        await until(are_both_over_twice, what="both came to the end of two silences")
    assert {line["event"] for line in logs} == {"silence_not_judged"}
    assert all("Traceback" in line["traceback"] for line in logs)


async def test_an_error_of_the_sockets_does_not_end_the_watch() -> None:
    loop, reads = asyncio.get_running_loop(), 0
    errors: list[object] = []
    loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))

    def read() -> None:
        nonlocal reads
        reads += 1
        if reads == 1:
            raise OSError("once")

    watch, silent = Watch(read), Silent([], [0])
    watch.begin(silent, limit_s=LIMIT_S)

    async def is_over() -> bool:
        return Stage.OVER in silent.heard

    await until(is_over, what="it is over")
    watch.close()
    assert len(errors) == 1


async def test_many_that_fall_silent_together_are_dealt_with_in_many_turns_of_the_loop(watch: Watch) -> None:
    turns: list[int] = []
    clock = [0]
    loop = asyncio.get_running_loop()

    def turn() -> None:
        clock[0] += 1
        loop.call_soon(turn)

    turn()
    many = [Silent(turns, clock) for _ in range(100)]
    for each in many:
        watch.begin(each, limit_s=LIMIT_S)

    async def are_all_over() -> bool:
        return all(Stage.OVER in each.heard for each in many)

    await until(are_all_over, what="all are over")
    most = max(turns.count(each) for each in set(turns))
    assert most == 20
    assert all(each.heard[:3] == [*Stage] for each in many), "nobody is left out"
