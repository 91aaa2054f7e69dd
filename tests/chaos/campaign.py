"""One campaign: events flow, troubles come, calm returns, then books and promises are compared."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress

import msgspec
import psutil

from chaos import evidence, verdict
from chaos.comparison import Comparison
from chaos.platform import LOOPBACK, Crowd, events_injected, happen, no_connection_is_left, settled
from chaos.reader import Reader
from chaos.record import Record
from chaos.recorder import Recorder
from chaos.settings import Settings
from chaos.switches import Deck
from harness.longwire import Longwire
from harness.simulator import Simulator
from harness.waiting import until
from longwire import CommandError
from longwire_connectors.simulator.fault_kinds import LarkClientConfig

_ONLINE_S = 120.0
"""For the first time: a machine that is busy with much else starts 40 processes."""

_BACK_S = 150.0
"""To wait for an account after calm; how long it may take is judged afterwards."""

_DRAIN_S = 120.0
_LOOK_S = 0.25
_SHOWN = 5


NOBODY = ""
"""Instead of the accounts that something was done to: there were none."""

_BRISK = LarkClientConfig(platform="lark", values={"PingInterval": 2})
"""Lark's own pings as often as ours: with its 90 s, a campaign would hardly see that one is missing."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a campaign goes."""

    seed: int
    crowd: Crowd
    settings: Settings
    events: int = 0
    """It goes on until so many happened on the platforms, and"""
    kills: int = 0
    """until so many processes got a SIGKILL, and"""
    for_s: float = 0.0
    """until so much time has passed."""
    rate_per_s: float
    """Events in each app."""
    burst: int
    """Events in each app beside those, when something is about to be killed."""
    gap_s: tuple[float, float] = (0.1, 1.5)
    """Between troubles."""
    patience_s: float = 0.0
    """For how long the platform may keep an account away at the end."""
    least_acked: float = 0.5
    """Of all events: with fewer, little was tried."""


class Campaign:
    """What troubles work on."""

    def __init__(self, plan: Plan, simulator: Simulator, longwire: Longwire) -> None:
        self.plan = plan
        self.crowd = plan.crowd
        self.simulator = simulator
        self.longwire = longwire
        self.reader = Reader(longwire.endpoint, longwire.folder)
        self.rng = random.Random(f"{plan.seed}/troubles")  # noqa: S311  # to be repeated, not to be secret
        self.deck = Deck(self.rng, patience_s=plan.patience_s)
        self.happened: Counter[str] = Counter()
        self.killed: Counter[str] = Counter()
        """Processes that got a SIGKILL, by what they were."""
        self.accounts = plan.crowd.accounts(simulator.url)
        """All of them, as they are configured when nothing is changed."""
        self.env = {f"LW_SECRET_{n}": f"secret-of-{app}" for n, app in enumerate(self.crowd.apps.values())}
        """Where the secrets come from: the supervisor's own start environment alone may have them."""
        self._use_environment()
        self.record = Record()
        self.recorder = Recorder(self.record, simulator, longwire, secrets=set(self.env.values()))
        self._beside: asyncio.TaskGroup | None = None
        self._pending: set[asyncio.Task[None]] = set()
        self._took_s = 0.0

    async def run(self, troubles: list[Trouble]) -> str:
        """Go through all of it; return a line that says what was survived."""
        self.configure()
        await self.simulator.fault(_BRISK)
        await self.start()
        await self.longwire.until_online(deadline_s=_ONLINE_S)
        await self.reader.open()
        try:
            async with asyncio.TaskGroup() as tasks:
                records = self.recorder.start(tasks)
                self.record.footprints.append(self.recorder.footprint())
                await self._trouble(troubles)
                await self._calm()
                self.record.footprints.append(self.recorder.footprint())
                for task in records:
                    task.cancel()
            return await self._compare()
        finally:
            await self.reader.kill()

    # For troubles.

    def configure(self, **changes: dict[str, object] | None) -> None:
        """Write the configuration, with these accounts changed, or left out."""
        merged = {name: {**account, **(changes.get(name) or {})} for name, account in self.accounts.items()}
        wanted = {name: account for name, account in merged.items() if changes.get(name, account) is not None}
        self.longwire.configure(wanted, defaults=msgspec.structs.asdict(self.plan.settings))

    async def start(self) -> None:
        """Start a supervisor."""
        await self.longwire.start(env=self.env)

    def look_at_processes(self) -> list[psutil.Process]:
        """Remember every process below the supervisor, for the end, and return those there are now."""
        present = self.longwire.program.descendants()
        self.recorder.processes.update(present)
        return present

    def beside(self, work: Coroutine[None, None, None], *, name: str) -> None:
        """Let something go on beside the next troubles; it is over before calm returns."""
        assert self._beside is not None, "troubles have not begun"
        task = self._beside.create_task(work, name=name)
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def reload(self, **changes: dict[str, object] | None) -> None:
        """Have the supervisor take over a configuration with these changes, and without earlier ones."""
        before = self.longwire.accounts
        self.configure(**changes)
        after = self.longwire.accounts
        touched = [name for name in before.keys() | after if before.get(name) != after.get(name)]
        with self.record.during("reload", *(touched or [NOBODY])):
            await self.reread(until_logged="reloaded")

    async def reread(self, *, until_logged: str) -> None:
        """Have the file read again; wait until the log says what became of it."""
        begun = self.longwire.log_file.stat().st_size
        self.longwire.program.send(signal.SIGHUP)

        async def logged() -> bool:
            with self.longwire.log_file.open("rb") as log:
                log.seek(begun)
                return f'"event": "{until_logged}"'.encode() in log.read()

        await until(logged, what=f"the log says {until_logged}")

    def _use_environment(self) -> None:
        for name, account in zip(self.env, self.crowd.apps, strict=True):
            key = "app_secret" if account in self.crowd.lark else "client_secret"
            self.accounts[account][key] = f"env:{name}"

    # The course of it.

    async def _trouble(self, troubles: list[Trouble]) -> None:
        events = random.Random(f"{self.plan.seed}/events")  # noqa: S311
        deck: list[Trouble] = []
        begun = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            self._beside = tasks
            flow = tasks.create_task(
                happen(self.simulator, self.crowd, events, rate_per_s=self.plan.rate_per_s),
                name="events happen",
            )
            while not await self._is_enough(begun):
                await asyncio.sleep(self.rng.uniform(*self.plan.gap_s))  # random moments are the point
                self.look_at_processes()
                deck = deck or self.rng.sample(troubles, len(troubles))  # each comes as often as the others
                trouble = deck.pop()
                self.happened[trouble.__name__] += 1
                await trouble(self)
            flow.cancel()
            for task in self._pending:
                task.cancel()  # each of them undoes what it did
        self._took_s = time.monotonic() - begun

    async def _is_enough(self, begun: float) -> bool:
        if self.killed.total() < self.plan.kills or time.monotonic() - begun < self.plan.for_s:
            return False
        return await events_injected(self.simulator) >= self.plan.events

    async def _calm(self) -> None:
        """Undo everything, do what an operator does for parked accounts, and wait for all of them."""
        await self.simulator.clear_faults()
        await self.reload()
        self.record.calm_at = time.time()
        self.record.returns = dict.fromkeys(self.longwire.accounts)

        async def back() -> bool:
            accounts = (await self.longwire.status())["accounts"]
            now = time.time()
            for account in accounts:
                name = account["account"]
                if account["state"] == "online" and self.record.returns[name] is None:
                    self.record.returns[name] = now
                elif account["state"] == "parked":
                    await self.restart(name)
            return all(self.record.returns.values())

        try:
            await until(back, what="all are online again", deadline_s=_BACK_S, every_s=_LOOK_S)
        except AssertionError:
            self._check_promises()  # it tells more than that they are not
            raise
        await self.longwire.until_online(deadline_s=_BACK_S)

    async def restart(self, account: str) -> None:
        """Give an account a fresh process, unless that was asked for too often."""
        with self.record.during("command", account), suppress(CommandError):
            await self.longwire.client.call("account.restart", account=account)

    async def _compare(self) -> str:
        records = await settled(self.simulator)
        injected = await events_injected(self.simulator)
        assert len(records) == injected, f"the platform forgot {injected - len(records)} deliveries"
        await self.longwire.client.call("account.stop", account=LOOPBACK)  # the others have nothing new
        await self.longwire.until_state(LOOPBACK, "stopped")

        async def drained() -> bool:
            last_seq: int = (await self.longwire.status())["supervisor"]["last_seq"]
            return self.reader.count() >= last_seq  # numbers begin at 1 and leave none out

        await until(drained, what="the subscriber has read everything", deadline_s=_DRAIN_S)
        comparison = Comparison(records, self.reader, self.crowd)
        comparison.check(least_acked=self.plan.least_acked)
        summary = self._summary(comparison)
        await self._nothing_is_left()
        self._check_promises()
        self.longwire.check_log()
        return summary

    async def _nothing_is_left(self) -> None:
        self.look_at_processes()
        code, _ = await self.longwire.stop()
        assert code == 0, self.longwire.log()[-3000:]
        left = [process for process in self.recorder.processes if is_there(process)]
        assert not left, left
        await no_connection_is_left(self.simulator)
        await self.recorder.read_diary()
        self.recorder.search_files()

    def _check_promises(self) -> None:
        violations = verdict.judge(self.record, self.crowd, self.plan.settings)
        if violations:
            text = evidence.describe(violations, self.record, self.crowd, self.longwire.log_file)
            place = self.longwire.folder / "violations.txt"
            place.write_text(text)
            kinds = Counter(violation.promise for violation in violations)
            shown = evidence.describe(violations[:_SHOWN], self.record, self.crowd, self.longwire.log_file)
            raise AssertionError(f"{dict(kinds)}; all of it is in {place}\n{shown}")

    def _summary(self, comparison: Comparison) -> str:
        kills = ", ".join(f"{name} {count}" for name, count in sorted(self.killed.items()))
        survived = ", ".join(f"{name} {count}" for name, count in sorted(self.happened.items()))
        claims = sum(len(claims) for claims in self.record.claims.values())
        switches = Counter(trouble.what for trouble in self.record.troubles if "switch" in trouble.what)
        attempts = sum(entry.what == "asked" for entry in self.record.entries)
        silent_s = sum(span.end - span.begin for span in self.record.silent)
        late_s = sum(span.end - span.begin for span in self.record.lag)
        return (
            f"{comparison.summary} in {self._took_s:.0f} s; "
            f"{attempts} attempts, {claims} times online, {len(self.record.entries)} lines of the diary; "
            f"status silent for {silent_s:.1f} s, the machine late by {late_s:.1f} s; "
            f"{self.killed.total()} kills ({kills}) in {survived}; "
            f"{switches.total()} faults of {len(switches)} kinds"
        )


def is_there(process: psutil.Process) -> bool:
    """Return whether it is; the zombies of a killed template's children are init's, which takes its time."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


Trouble = Callable[[Campaign], Awaitable[None]]
"""What can go wrong, a function each; all randomness is the campaign's."""
