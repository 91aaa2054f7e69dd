"""What happens in the demo: users write, a bot answers, and three things break."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from itertools import cycle
from typing import Any

import msgspec

from longwire.demo.stage import DING_APPS, LARK_APPS, Stage, StageError
from longwire_protocol import Client, CommandError, RetCode

_WRITE_EVERY_S = 0.5
_USERS = 12
"""Of each bot, who write in turn: one in 6 s, as DingTalk's robots may answer in a chat once in 3 s."""

_LOOK_S = 0.05
_HEAL_S = 60.0
_OUTAGE_S = 3.0
_ANSWER_S = 20.0
_BREATH_S = 2.0
"""Between two faults, so that a person can see the table at rest."""


class Heal(msgspec.Struct, frozen=True):
    """One fault and how it was mended."""

    fault: str
    account: str
    seconds: float
    """From the fault to online again."""
    how: str
    alone: str
    """What becomes of the plain SDK."""


class Summary(msgspec.Struct):
    """What the demo showed."""

    ok: bool = False
    seconds: float = 0.0
    accounts: int = 0
    online_after_s: float = 0.0
    """From the start of simulator and supervisor to every account online."""
    messages: int = 0
    """What the simulators' users wrote."""
    answered: int = 0
    """Answers the simulators got."""
    heals: list[Heal] = msgspec.field(default_factory=list[Heal])


class Story:
    """Plays the demo; `accounts`, `summary` and `line` are for whoever watches."""

    def __init__(self, stage: Stage, client: Client, *, begun: float, seconds: float | None) -> None:
        self.accounts: list[dict[str, Any]] = []
        self.summary = Summary(accounts=len(LARK_APPS) + len(DING_APPS))
        self.line = "starting a process per account"
        self._stage = stage
        self._client = client
        self._seconds = seconds
        self._begun = begun
        self._news = asyncio.Event()

    @property
    def elapsed_s(self) -> float:
        """How long it has been going on."""
        return time.monotonic() - self._begun

    async def play(self) -> Summary:
        """Play it to the end.

        Raises:
            StageError: something did not heal in time.
        """
        async with asyncio.TaskGroup() as tasks:
            side = [
                tasks.create_task(work, name=name)
                for name, work in (("watch", self._watch()), ("echo bot", self._echo()))
            ]
            await self._until(self._all_online, "every account online")
            self.summary.online_after_s = self.elapsed_s
            side.append(tasks.create_task(self._users(), name="users"))
            await self._act(self._kill_a_child)
            await self._act(self._freeze_a_child)
            await self._act(self._let_the_sdk_give_up)
            await self._linger()
            side.pop().cancel()
            await self._await_answers()
            for task in side:
                task.cancel()
        self.summary.seconds = self.elapsed_s
        self.summary.ok = self.summary.answered >= self.summary.messages
        return self.summary

    # The three faults.

    async def _kill_a_child(self) -> None:
        account, pid = "acme-lark", self._pid("acme-lark")
        self.line = f"kill -9 {pid}: the process of {account}"
        os.kill(pid, signal.SIGKILL)
        await self._healed(
            "process killed",
            account,
            how="its exit was seen at once; a new process took over",
            alone="gone until somebody starts it",
            old_pid=pid,
        )

    async def _freeze_a_child(self) -> None:
        account, pid = "beta-lark", self._pid("beta-lark")
        self.line = f"kill -STOP {pid}: the process of {account} hangs"
        os.kill(pid, signal.SIGSTOP)
        await self._healed(
            "process frozen",
            account,
            how="its heartbeats stopped; it was killed and replaced",
            alone="deaf for ever, and alive in ps",
            old_pid=pid,
        )

    async def _let_the_sdk_give_up(self) -> None:
        account = "acme-lark"
        self.line = f"{account}: the platform allows one retry, cuts the line and is out for {_OUTAGE_S:g} s"
        limit = await self._stage.fault("pong_config", account, values={"ReconnectCount": 1})
        outage = await self._stage.fault("discovery_status", account, status=500)
        await self._stage.drop(account)
        begun = time.monotonic()
        await self._until(lambda: self._state(account) != "online", f"{account} offline")
        await asyncio.sleep(_OUTAGE_S)
        for fault in (outage, limit):
            await self._stage.clear(fault)
        await self._healed(
            f"SDK gives up, {_OUTAGE_S:g} s outage",
            account,
            how="the retries are ours, and never end",
            alone="gives up silently, deaf for ever",
            begun=begun,
        )

    # The rest of the world.

    async def _users(self) -> None:
        number = 0
        for user in cycle(range(_USERS)):
            for account in (*LARK_APPS, *DING_APPS):
                if account in LARK_APPS or self._state(account) == "online":  # DingTalk does not repeat
                    number += 1
                    await self._stage.say(account, f"message {number}", user=user)
                    self.summary.messages += 1
            await asyncio.sleep(_WRITE_EVERY_S)

    async def _echo(self) -> None:
        async for event in self._client.subscribe("echo", types=["message.created"]):
            try:
                await self._client.reply(event, text=f"echo: {event.text}")
            except CommandError as error:
                if error.retryable or error.retcode == RetCode.CHILD_LOST:
                    await event.nack(delay_s=0.5)
                    continue
            await event.ack()

    async def _watch(self) -> None:
        while True:
            self.accounts = (await self._client.call("status"))["accounts"]
            counts = await self._stage.counts()
            self.summary.answered = sum(len(app.get("messages", ())) for app in counts.values())
            self._news.set()
            await asyncio.sleep(_LOOK_S)

    # Waiting.

    async def _act(self, fault: Callable[[], Awaitable[None]]) -> None:
        if self._seconds is not None and self.elapsed_s > self._seconds:
            return
        await asyncio.sleep(_BREATH_S)
        await fault()
        self.line = f"healed in {self.summary.heals[-1].seconds:.1f} s"

    async def _linger(self) -> None:
        self.line = "all healed; the conversation goes on"
        if self._seconds is not None:
            await asyncio.sleep(max(0.0, self._seconds - self.elapsed_s))

    async def _await_answers(self) -> None:
        self.line = "waiting for the last answers"
        try:
            await self._until(
                lambda: self.summary.answered >= self.summary.messages, "every answer", deadline_s=_ANSWER_S
            )
        except StageError:
            self.line = "some answers are missing"

    async def _healed(
        self,
        fault: str,
        account: str,
        *,
        how: str,
        alone: str,
        old_pid: int | None = None,
        begun: float = 0.0,
    ) -> None:
        begun = begun or time.monotonic()
        await self._until(
            lambda: self._state(account) == "online" and (old_pid is None or self._pid(account) != old_pid),
            f"{account} online again",
        )
        self.summary.heals.append(Heal(fault, account, time.monotonic() - begun, how, alone))

    async def _until(self, is_so: Callable[[], bool], what: str, *, deadline_s: float = _HEAL_S) -> None:
        try:
            async with asyncio.timeout(deadline_s):
                while not is_so():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise StageError(f"not within {deadline_s:g} s: {what}; the log is {self._stage.log}") from None

    def _all_online(self) -> bool:
        return bool(self.accounts) and all(account["state"] == "online" for account in self.accounts)

    def _state(self, name: str) -> str:
        return next((str(a["state"]) for a in self.accounts if a["account"] == name), "")

    def _pid(self, name: str) -> int:
        return next((int(a["pid"] or 0) for a in self.accounts if a["account"] == name), 0)
