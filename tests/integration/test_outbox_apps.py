"""Apps and their accounts: limits together, trouble apart, and what `status` tells of both."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest

from fakes.journal import no_thread_stays, path_fixture  # noqa: F401  # pytest finds them here
from fakes.outbox import Account, Config, World, asked
from harness.waiting import until
from longwire.outbox import Command, State
from longwire.status import SendingStatus
from longwire_protocol.declaration import Rate, Rates
from longwire_protocol.errors import CommandError, RetCode

TWO_A_MINUTE = Rates(app=(Rate(2, 60.0),))


class Accounts(World):
    """As its base, with any number of accounts."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.accounts: dict[str, Account] = {}

    def add(self, name: str, **fields: Any) -> Account:
        account = self.accounts[name] = Account(Config(account=name, **fields))
        return account

    def performers(self) -> dict[str, Any]:
        return dict(self.accounts)

    async def write(self, name: str, text: str, *, wait_s: float | None = 0.0, **fields: Any) -> Command:
        entry = await self.outbox.accept(cast("Any", self.accounts[name]), asked(text, **fields))
        return await self.outbox.outcome(entry, wait_s=wait_s)

    def sending(self, name: str) -> SendingStatus:
        return self.outbox.sending(cast("Any", self.accounts[name].config))

    def told(self) -> Counter[str]:
        return Counter({name: len(account.told) for name, account in self.accounts.items()})


@pytest.fixture(name="world")
def world_fixture(path: Path) -> Accounts:
    return Accounts(path)


async def test_two_accounts_of_one_app_share_its_limits_and_status_tells_what_these_leave(
    world: Accounts,
) -> None:
    world.add("a", rates=TWO_A_MINUTE)
    world.add("b", rates=TWO_A_MINUTE)
    world.add("other", rates=TWO_A_MINUTE, app="cli_2")
    async with world.running():
        assert world.sending("a") == SendingStatus(
            queued=0, under_way=0, retry_after_ms=0, rates=TWO_A_MINUTE
        )
        for number in range(2):
            for name in world.accounts:
                await world.write(name, f"{number}", chat=f"{number}", wait_s=None if number == 0 else 0.0)
        assert (await world.write("other", "2", chat="2")).state is State.QUEUED
        assert world.told() == {"a": 1, "b": 1, "other": 2}
        for name in world.accounts:
            told = world.sending(name)
            assert (told.queued, told.under_way) == (1, 0)
            assert 50_000 < (told.retry_after_ms or 0) <= 60_060


async def test_of_one_app_the_account_that_is_down_holds_up_no_other(world: Accounts) -> None:
    down, up = world.add("a"), world.add("b")
    down.is_up = False
    async with world.running() as outbox:
        await world.write("a", "later")
        assert (await world.write("b", "now", wait_s=None)).state is State.DONE
        assert world.sending("a").queued == 1
        down.is_up, up.is_up = True, False
        outbox.look(cast("Any", down.config))

        async def is_told() -> bool:
            return down.texts == ["later"]

        await until(is_told, what="it goes on")


async def test_what_was_sent_before_a_restart_counts_for_each_app(world: Accounts) -> None:
    names = ["a", "b", "c"]
    for name in names:
        world.add(name, rates=TWO_A_MINUTE, app=f"cli_{name}")
    async with world.running():
        for name in names:
            for number in range(2):
                await world.write(name, f"{number}", wait_s=None)
    async with world.running():
        for name in names:
            assert (await world.write(name, "2")).state is State.QUEUED
    assert world.told() == dict.fromkeys(names, 2)


async def test_asking_again_with_a_key_takes_nothing_of_the_limits(world: Accounts) -> None:
    world.add("a", rates=TWO_A_MINUTE)
    async with world.running():
        first = await world.write("a", "hello", key="k", wait_s=None)
        for _ in range(3):
            assert await world.write("a", "hello", key="k", wait_s=None) == first
        assert (await world.write("a", "another", wait_s=None, deadline_s=5.0)).state is State.DONE


async def test_an_app_that_is_gone_leaves_nothing_behind(
    world: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longwire.outbox.outbox._MANY_LANES", 1)
    async with world.running(wall=time.time()) as outbox:
        for name in ("a", "b", "c"):
            world.add(name, app=f"cli_{name}")
            assert (await world.write(name, "hello", wait_s=None)).state is State.DONE
        assert [*outbox._lanes] == [("lark", "cli_c")]


async def test_a_command_for_another_app_of_the_account_is_not_carried_out(world: Accounts) -> None:
    """Its chats are not the other one's, and neither are its keys: a repetition would not be recognised."""
    world.add("a").is_up = False
    async with world.running():
        sending = asyncio.ensure_future(world.write("a", "hello", wait_s=None, deadline_s=0.3))

        async def is_queued() -> bool:
            return world.sending("a").queued == 1

        await until(is_queued, what="it is queued")
        world.add("a", app="cli_2")
        assert (await world.write("a", "other", wait_s=None)).state is State.DONE
        assert (await sending).state is State.EXPIRED
        assert world.accounts["a"].texts == ["other"]


async def test_an_app_that_is_down_and_much_written_to_leaves_room_for_the_others(
    world: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longwire.outbox.outbox._MOST_BYTES", 40_000)
    for name in ("a", "b"):
        world.add(name, app=f"cli_{name}").is_up = False
    async with world.running() as outbox:
        taken = {name: await until_refused(world, name) for name in ("a", "b")}
        assert 15 <= taken["a"] <= 20
        assert taken["b"] >= taken["a"] // 2 - 1
        outbox.stop()


async def until_refused(world: Accounts, name: str) -> int:
    """Return how many commands an account takes."""
    for count in range(1_000):
        try:
            await world.write(name, "x" * 1000)
        except CommandError as refusal:
            return count if refusal.retcode == RetCode.SATURATED else -1
    raise AssertionError("it takes everything")
