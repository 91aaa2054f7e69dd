"""Tests of webhooks that are under way are counted, whoever still waits for them."""

from __future__ import annotations

import asyncio

import pytest

from longwire.courier import wire
from longwire.courier.target import Target
from longwire.webhooks.trials import Trials
from longwire_protocol.errors import CommandError, RetCode

DEADLINE_S = 30.0


class Courier:
    """Takes every test and answers none; its `news` is set by each."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, Target]] = []
        self.news = asyncio.Event()
        self.is_there = True

    async def ready(self) -> None:
        pass

    def test(self, number: int, target: Target) -> bool:
        self.asked.append((number, target))
        self.news.set()
        return self.is_there


def target(tenant: str) -> Target:
    return Target(name="crm", url="https://crm.example", tenant=tenant, accounts=("a", "b"), types=("t",))


async def given_up(trials: Trials, courier: Courier, tenant: str) -> None:
    """Ask, and wait for it no longer."""
    courier.news.clear()
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(trials.ask(courier, target(tenant)))
        await courier.news.wait()
        asking.cancel()


async def refusal(trials: Trials, courier: Courier, tenant: str) -> str:
    with pytest.raises(CommandError) as caught:
        await trials.ask(courier, target(tenant))
    assert caught.value.retcode == RetCode.SATURATED
    return caught.value.message


async def test_one_that_nobody_waits_for_counts_until_the_courier_is_done_with_it() -> None:
    trials, courier = Trials(), Courier()
    for _ in range(4):
        await given_up(trials, courier, "evil")
    assert "4 tests of a tenant" in await refusal(trials, courier, "evil")
    await given_up(trials, courier, "acme")
    trials.heard(wire.Tested(courier.asked[0][0], "delivered", "", 200, 0.1))
    await given_up(trials, courier, "evil")


async def test_there_is_a_bound_for_all_tenants_together() -> None:
    trials, courier = Trials(), Courier()
    for number in range(16):
        await given_up(trials, courier, f"tenant-{number}")
    assert "16 in all" in await refusal(trials, courier, "one-more")
    trials.courier_gone()
    await given_up(trials, courier, "one-more")


async def test_one_that_the_courier_does_not_take_does_not_count() -> None:
    trials, courier = Trials(), Courier()
    courier.is_there = False
    for _ in range(5):
        assert "being started" in await refusal(trials, courier, "acme")


async def test_long_lists_of_a_target_do_not_go_along() -> None:
    trials, courier = Trials(), Courier()
    await given_up(trials, courier, "acme")
    assert (courier.asked[0][1].accounts, courier.asked[0][1].types) == (("a",), None)
