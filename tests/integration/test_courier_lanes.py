"""The lanes of one name come one after the other, however fast its target changes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from longwire.courier import courier as courier_module
from longwire.courier.courier import Courier
from longwire.courier.target import Target
from longwire.courier.wire import Drop, Put

DEADLINE_S = 30.0
TARGET = Target(name="crm", url="https://crm.example")


class SlowLane:
    """Takes until `may_leave` to leave; says what it does."""

    said: list[str]
    may_leave: asyncio.Event
    news: asyncio.Event
    made = 0

    def __init__(self, target: Target, _ground: object) -> None:
        self.target = target
        type(self).made += 1
        self.number = self.made

    async def run(self) -> None:
        self._say("runs")
        await asyncio.Event().wait()

    async def left(self) -> None:
        self._say("leaves")
        await self.may_leave.wait()
        self._say("has left")

    def _say(self, what: str) -> None:
        self.said.append(f"{self.number} {what}")
        self.news.set()

    @classmethod
    async def until(cls, said: str) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while said not in cls.said:
                cls.news.clear()
                await cls.news.wait()


@pytest.fixture
async def courier(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Courier]:
    SlowLane.said, SlowLane.made = [], 0
    SlowLane.may_leave, SlowLane.news = asyncio.Event(), asyncio.Event()
    monkeypatch.setattr(courier_module, "Lane", SlowLane)
    ours, theirs = socket.socketpair()
    made = Courier(ours)
    async with asyncio.TaskGroup() as made.tasks:
        yield made
        made._heard(Drop(TARGET.name))
    ours.close()
    theirs.close()


async def test_a_target_that_changes_while_it_leaves_begins_when_all_before_are_gone(
    courier: Courier,
) -> None:
    courier._heard(Put(TARGET))
    await SlowLane.until("1 runs")
    courier._heard(Put(TARGET))
    await SlowLane.until("1 leaves")
    courier._heard(Put(TARGET))
    await SlowLane.until("2 leaves")
    SlowLane.may_leave.set()
    await SlowLane.until("3 runs")
    assert SlowLane.said[-1] == "3 runs"
    assert {"1 has left", "2 has left"} < {*SlowLane.said}


async def test_a_target_that_comes_back_while_it_leaves_begins_when_it_is_gone(courier: Courier) -> None:
    courier._heard(Put(TARGET))
    await SlowLane.until("1 runs")
    courier._heard(Drop(TARGET.name))
    await SlowLane.until("1 leaves")
    courier._heard(Put(TARGET))
    SlowLane.may_leave.set()
    await SlowLane.until("2 runs")
    assert SlowLane.said == ["1 runs", "1 leaves", "1 has left", "2 runs"]
