"""Commands with keys through kills of everything: each has one effect, or is said to be uncertain."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chaos import sender
from chaos.settings import HASTY
from harness.longwire import Longwire, dingtalk, lark
from harness.processes import Program
from harness.scenario import everything
from harness.simulator import Simulator
from longwire import LongwireError
from longwire_connectors.simulator.counters import SentMessage
from longwire_connectors.simulator.fault_kinds import Slow
from longwire_protocol.event import Event

SEED = int(os.environ.get("LONGWIRE_SEED", "20261122"))

LARK_APPS = {"lark-a": "cli_00000000000000aa", "lark-b": "cli_00000000000000bb"}
DING_APP = "dinga"

COMMANDS, KILLS, CHATS = 2_000, 60, 20
FEW_COMMANDS, FEW_KILLS, FEW_CHATS = 60, 6, 6
DINGTALK_SHARE = 0.05
"""DingTalk takes 20 a minute of a robot."""

API_S = 0.05
"""How long the platform takes for each request: most kills then meet commands under way."""

GAP_S = (0.2, 0.8)


class Judgement(msgspec.Struct):
    """What is known at the end, from each side; by the commands' keys, which are their texts."""

    sent: dict[str, str]
    """By key: the account."""
    answers: dict[str, str]
    """The state that the client was told."""
    events: dict[str, list[Event]]
    """Those of `delivery.updated`."""
    messages: dict[str, list[SentMessage]]
    """What reached the platform."""

    def check(self) -> None:
        """Assert that nothing is lost, doubled, or told differently to different sides."""
        assert self.answers.keys() == self.sent.keys()
        assert self.events.keys() == self.sent.keys()
        assert self.messages.keys() <= self.sent.keys()
        for key, account in self.sent.items():
            (event,) = self.events[key]
            messages = self.messages.get(key, [])
            assert event.raw["state"] == self.answers[key], key
            assert event.account == account
            if self.answers[key] == "uncertain":
                assert account == "ding", f"{key} on Lark: {event.raw}"
                assert len(messages) <= 1, key
                continue
            assert self.answers[key] == "done", (key, event.raw)
            assert len(messages) == 1, (key, messages, event.raw)
            if account != "ding":
                assert messages[0].body["uuid"] == event.raw["receipt"]
                assert messages[0].message_id == event.message_id

    def __str__(self) -> str:
        tries = sum(events[0].raw["attempts"] for events in self.events.values())
        return f"{dict(Counter(self.answers.values()))}, {tries} tries"


class Siege:
    """One campaign: a client sends, and everything is killed at random."""

    def __init__(self, simulator: Simulator, longwire: Longwire) -> None:
        self.simulator = simulator
        self.longwire = longwire
        self.luck = random.Random(SEED)  # noqa: S311
        self.store = longwire.folder / "sent.sqlite3"
        self.killed: Counter[str] = Counter()

    async def run(self, *, commands: int, kills: int, chats: int) -> Judgement:
        await asyncio.to_thread(self.plan, commands, chats)
        await self.simulator.fault(Slow(platform="lark", step="api", delay_s=API_S))
        await self.simulator.fault(Slow(platform="dingtalk", step="api", delay_s=API_S))
        accounts = {name: lark(self.simulator.url, app) for name, app in LARK_APPS.items()}
        accounts["ding"] = dingtalk(self.simulator.url, DING_APP)
        self.longwire.configure(accounts, defaults=msgspec.to_builtins(HASTY))
        await self.longwire.start()
        await self.longwire.until_online()
        client = await self.start_sender()
        for _ in range(kills):
            await asyncio.sleep(self.luck.uniform(*GAP_S))
            what = self.luck.choice(["child", "child", "supervisor", "client"])
            self.killed[what] += 1
            if what == "client":
                await client.kill()
                client = await self.start_sender()
            elif what == "supervisor":
                await self.longwire.kill()
                await self.longwire.start()
            else:
                await self.kill_child()
        assert await client.ended(deadline_s=600) == 0, client.text()[-3000:]
        return await self.judgement()

    def plan(self, commands: int, chats: int) -> None:
        with closing(sqlite3.connect(self.store)) as store, store:
            store.execute(sender.SCHEMA)
            for number in range(commands):
                account = "ding" if self.luck.random() < DINGTALK_SHARE else self.luck.choice([*LARK_APPS])
                chat = f"{'cid' if account == 'ding' else 'oc_'}{self.luck.randrange(chats)}"
                row = (f"k{number}", account, chat)
                store.execute("INSERT INTO commands (key, account, chat) VALUES (?, ?, ?)", row)

    async def start_sender(self) -> Program:
        program = str(Path(sender.__file__))
        command = [sys.executable, "-P", program, self.longwire.endpoint, str(self.store)]
        return await Program.start(command, output=self.longwire.folder / "sender.log")

    async def kill_child(self) -> None:
        name = self.luck.choice([*self.longwire.accounts])
        with suppress(LongwireError, ProcessLookupError):  # it is being replaced already
            if pid := (await self.longwire.account(name))["pid"]:
                os.kill(pid, signal.SIGKILL)

    async def judgement(self) -> Judgement:
        events: dict[str, list[Event]] = {}
        for event in await everything(self.longwire):
            if event.type == "delivery.updated":
                events.setdefault(event.raw["idempotency_key"], []).append(event)
        messages: dict[str, list[SentMessage]] = {}
        state = await self.simulator.state()
        for app in (*state.lark.values(), *state.dingtalk.values()):
            for message in app.messages:
                messages.setdefault(text_of(message.body), []).append(message)
        rows = await asyncio.to_thread(self.rows)
        return Judgement(
            sent={key: account for key, account, _ in rows},
            answers={key: answer for key, _, answer in rows if answer is not None},
            events=events,
            messages=messages,
        )

    def rows(self) -> list[tuple[str, str, str | None]]:
        with closing(sqlite3.connect(self.store)) as store:
            return store.execute("SELECT key, account, state FROM commands").fetchall()


def text_of(body: Any) -> str:
    """Return the text of a message as its platform was given it."""
    content = msgspec.json.decode(body.get("content") or body.get("msgParam"))
    return str(content.get("text") or content["content"])


async def test_every_command_with_a_key_has_one_effect_through_kills_of_everything(
    simulator: Simulator, longwire: Longwire, show: Callable[[str], None]
) -> None:
    siege = Siege(simulator, longwire)
    judged = await siege.run(commands=FEW_COMMANDS, kills=FEW_KILLS, chats=FEW_CHATS)
    show(f"LONGWIRE_SEED={SEED} {dict(siege.killed)}: {judged}")
    judged.check()


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_two_thousand_commands_with_keys_have_one_effect_each_through_kills_of_everything(
    simulator: Simulator, longwire: Longwire, show: Callable[[str], None]
) -> None:
    siege = Siege(simulator, longwire)
    judged = await siege.run(commands=COMMANDS, kills=KILLS, chats=CHATS)
    show(f"LONGWIRE_SEED={SEED} {dict(siege.killed)}: {judged}")
    judged.check()
