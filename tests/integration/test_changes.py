"""Changes of a configuration: one after the other, whole or not at all; no account is really run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fakes.configuration import BASE, DINGTALK, LARK, LARK_ACCOUNT, OTHER
from longwire.changes import Changer, Taken, explained
from longwire.config import Config
from longwire.configuration import Configuration, Specs
from longwire.fleet import Changes
from longwire_protocol.errors import CommandError, ConfigError, Problem, RetCode
from longwire_protocol.messages import Request

FILE = {"accounts": {"one": dict(LARK_ACCOUNT)}}
DING = {"connector": "dingtalk", "client_id": "ding1"}


class Asker:
    """Answers at once, or when it is told to; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []
        self.begun = threading.Event()
        self.answers = threading.Event()
        self.answers.set()
        self.is_interrupted = False

    def __call__(self, python: str | None = None) -> Specs:
        self.asked.append(python)
        self.begun.set()
        assert self.answers.wait(30)
        if self.is_interrupted:
            raise ConfigError([Problem("", "interrupted")])
        return {"lark": LARK, "dingtalk": DINGTALK}

    def interrupt(self) -> None:
        self.is_interrupted = True
        self.answers.set()


class World:
    """A supervisor's part of it: the accounts it was told to run."""

    def __init__(self, file: Mapping[str, Any] = FILE, *, has_file: bool = True) -> None:
        self.file = file
        self.asker = Asker()
        read = (lambda: self.file) if has_file else None
        self.configuration = Configuration(file, base=BASE, environ={}, read=read, asker=lambda: self.asker)
        self.running = self.configuration.config
        self.is_stopping = False
        self.changer = Changer(
            self.configuration, take_over=self.take_over, running=self.configuration.config.supervisor
        )

    async def take_over(self, config: Config, _enable: str | None) -> Taken:
        if self.is_stopping:
            raise CommandError(RetCode.ACCOUNT_NOT_ONLINE, "the supervisor stops", retryable=True)
        added = [name for name in config.accounts if name not in self.running.accounts]
        removed = [name for name in self.running.accounts if name not in config.accounts]
        self.running = config
        nothing = Changes(added=[], removed=[], changed=[])
        return Taken(Changes(added=added, removed=removed, changed=[]), nothing)

    async def add(self, name: str, **config: Any) -> Any:
        request = Request(id=1, method="account.add", params={"account": name, "config": config})
        return await explained(self.changer.add(request))

    async def update(self, name: str, **config: Any) -> Any:
        request = Request(id=1, method="account.update", params={"account": name, "config": config})
        return await explained(self.changer.update(request, before_restart=lambda _name: None))

    async def remove(self, name: str) -> Any:
        request = Request(id=1, method="account.remove", params={}, account=name)
        return await explained(self.changer.remove(request))


async def test_a_host_without_a_file_can_change_accounts_and_is_told_that_there_is_nothing_to_reload() -> (
    None
):
    world = World(has_file=False)
    await world.add("two", **DING)
    await world.update("one", nice=3)
    assert list(world.running.accounts) == ["one", "two"]
    await world.remove("one")
    assert list(world.running.accounts) == ["two"]
    with pytest.raises(CommandError, match="not started from a file") as refusal:
        await world.changer.reload()
    assert refusal.value.retcode == RetCode.BAD_REQUEST


async def test_commands_ask_no_interpreter_that_is_known_and_a_reload_asks_each_again() -> None:
    world = World({**FILE, "defaults": {"python": OTHER}})
    assert world.asker.asked == [OTHER]
    await world.add("two", **DING)
    await world.update("two", nice=3)
    assert world.asker.asked == [OTHER]
    await world.changer.reload()
    assert world.asker.asked == [OTHER, OTHER]


async def test_no_interpreter_of_a_command_is_ever_started() -> None:
    world = World()
    with pytest.raises(CommandError, match=r"accounts\.two\.python"):
        await world.add("two", **DING, python=OTHER)
    assert world.asker.asked == [None]


async def test_an_account_added_twice_at_once_is_there_once() -> None:
    world = World()
    outcomes = await asyncio.gather(
        world.add("two", **DING), world.add("two", **DING), return_exceptions=True
    )
    (refused,) = [outcome for outcome in outcomes if isinstance(outcome, CommandError)]
    assert refused.retcode == RetCode.ACCOUNT_EXISTS
    assert list(world.running.accounts) == ["one", "two"]


async def test_a_reload_that_is_given_up_changes_nothing_and_lets_the_next_one_through() -> None:
    world = World()
    world.asker = given_up = Asker()
    given_up.answers.clear()
    world.file = {"accounts": {"two": DING}}
    reload = asyncio.create_task(world.changer.reload())
    await asyncio.to_thread(given_up.begun.wait, 30)
    reload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reload
    assert given_up.is_interrupted
    assert list(world.running.accounts) == ["one"]
    world.asker = Asker()
    assert (await world.changer.reload()).added == ["two"]


async def test_a_supervisor_that_stops_takes_nothing_over_and_remembers_nothing() -> None:
    world = World()
    world.is_stopping = True
    with pytest.raises(CommandError, match="stops"):
        await world.add("two", **DING)
    with pytest.raises(CommandError, match="stops"):
        await world.changer.reload()
    world.is_stopping = False
    assert (await world.add("two", **DING)).added == ["two"]


async def test_a_reload_that_fails_for_what_a_command_changed_says_so_and_names_five_mistakes() -> None:
    world = World()
    await world.add("two", **DING)
    world.file = {"accounts": {"one": {**LARK_ACCOUNT, **{f"typo{n}": 1 for n in range(6)}}, "three": DING}}
    with pytest.raises(CommandError) as refusal:
        await explained(world.changer.reload())
    data: Any = refusal.value.data
    told = {problem.place: problem.message for problem in data["problems"]}
    assert "added by command" in told["accounts.two.client_id"]
    assert "by command" not in told["accounts.three.client_id"]
    assert refusal.value.message.endswith("; and 3 more")
    assert list(world.running.accounts) == ["one", "two"]


def test_a_file_is_found_from_wherever_its_path_counts(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "longwire.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    configuration = Configuration.of_file(Path("longwire.toml"), environ={})
    assert configuration.has_file
    assert configuration.config.supervisor.data_dir == tmp_path / "var"


async def test_a_change_that_the_file_makes_too_needs_no_end() -> None:
    world = World()
    assert (await world.remove("one")).until == "supervisor restart"
    assert (await world.add("one", **LARK_ACCOUNT)).until is None
    assert (await world.update("one", nice=3)).until == "supervisor restart"
