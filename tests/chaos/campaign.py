"""One campaign: events flow, troubles come, calm returns, the books are compared."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec
import psutil

from chaos import books
from chaos.platform import (
    ACCOUNT_OF,
    LOOPBACK,
    accounts,
    events_injected,
    happen,
    no_connection_is_left,
    overlaps,
    settled,
)
from chaos.reader import Reader, Received
from harness.longwire import Longwire
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.deliveries import DeliveryRecord, Phase

DEFAULTS = {
    "heartbeat_interval_s": 0.2,
    "heartbeat_timeout_s": 1.5,
    "backoff_initial_s": 0.05,
    "backoff_max_s": 0.5,
    "stable_after_s": 2.0,
    "link_timeout_s": 3.0,
}
"""Short, so that much happens in little time."""

_OVERLAP_S = 0.2
"""For the simulator to see the end of a connection whose process was killed."""

_SHOWN = 3


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a campaign goes."""

    seed: int
    events: int
    """It goes on until so many happened on the platforms, and"""
    kills: int
    """until so many processes got a SIGKILL."""
    rate_per_s: float
    """Events in each app."""
    burst: int
    """Events in each app beside those, when something is about to be killed."""
    gap_s: tuple[float, float] = (0.1, 1.5)
    """Between troubles."""


class Campaign:
    """What troubles work on."""

    def __init__(self, plan: Plan, simulator: Simulator, longwire: Longwire) -> None:
        self.plan = plan
        self.simulator = simulator
        self.longwire = longwire
        self.reader = Reader(longwire.endpoint, longwire.folder)
        self.rng = random.Random(f"{plan.seed}/troubles")  # noqa: S311  # to be repeated, not to be secret
        self.happened: Counter[str] = Counter()
        self.killed: Counter[str] = Counter()
        """Processes that got a SIGKILL, by what they were."""
        self._processes: set[psutil.Process] = set()
        self._took_s = 0.0

    async def run(self, troubles: list[Trouble]) -> str:
        """Go through all of it; return a line that says what was survived."""
        self.longwire.configure(accounts(self.simulator.url), defaults=DEFAULTS)
        await self.longwire.start()
        await self.longwire.until_online()
        await self.reader.open()
        try:
            await self._trouble(troubles)
            return await self._compare()
        finally:
            await self.reader.kill()

    def look_at_processes(self) -> list[psutil.Process]:
        """Remember every process below the supervisor, for the end, and return those there are now."""
        present = self.longwire.program.descendants()
        self._processes.update(present)
        return present

    async def _trouble(self, troubles: list[Trouble]) -> None:
        events = random.Random(f"{self.plan.seed}/events")  # noqa: S311
        deck: list[Trouble] = []
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with asyncio.TaskGroup() as tasks:
            flow = tasks.create_task(
                happen(self.simulator, events, rate_per_s=self.plan.rate_per_s), name="events happen"
            )
            while not await self._is_enough():
                await asyncio.sleep(self.rng.uniform(*self.plan.gap_s))  # random moments are the point
                self.look_at_processes()
                deck = deck or self.rng.sample(troubles, len(troubles))  # each comes as often as the others
                trouble = deck.pop()
                self.happened[trouble.__name__] += 1
                await trouble(self)
            flow.cancel()
        self._took_s = loop.time() - begun

    async def _is_enough(self) -> bool:
        if self.killed.total() < self.plan.kills:
            return False
        return await events_injected(self.simulator) >= self.plan.events

    async def _compare(self) -> str:
        await self.simulator.clear_faults()
        await self.longwire.until_online()
        records = await settled(self.simulator)
        injected = await events_injected(self.simulator)
        assert len(records) == injected, f"the platform forgot {injected - len(records)} deliveries"

        await self.longwire.client.call("account.stop", account=LOOPBACK)  # the others have nothing new
        await self.longwire.until_state(LOOPBACK, "stopped")

        async def drained() -> bool:
            last_seq: int = (await self.longwire.status())["supervisor"]["last_seq"]
            return self.reader.count() >= last_seq  # numbers begin at 1 and leave none out

        await until(drained, what="the subscriber has read everything")
        self._check_books(records, self.reader.received())
        doubles = await overlaps(self.simulator, slack_s=_OVERLAP_S)
        assert not doubles, doubles[:_SHOWN]
        summary = self._summary(records)
        await self._nothing_is_left()
        return summary

    def _check_books(self, records: list[DeliveryRecord], received: list[Received]) -> None:
        acked = sum(record.phase is Phase.ACKED for record in records)
        assert acked > len(records) / 2, f"only {acked} of {len(records)} were acked, so little was tried"
        lost = books.missing(records, received, account_of=ACCOUNT_OF)
        assert not lost, f"{len(lost)} acked events were never delivered: {lost[:_SHOWN]}"
        holes = books.skipped(received, account=LOOPBACK)
        assert not holes, holes[:_SHOWN]
        twice = books.doubled(received)
        assert not twice, f"{len(twice)} events have more than one number: {twice[:_SHOWN]}"
        reused = self.reader.reused()
        assert not reused, f"{len(reused)} numbers were given twice: {reused[:_SHOWN]}"
        late = books.out_of_order(received)
        assert not late, f"{len(late)} events came before their predecessors: {late[:_SHOWN]}"
        wrong = books.misnumbered(records, received, account_of=ACCOUNT_OF)
        assert not wrong, f"{len(wrong)} events are numbered in another order: {wrong[:_SHOWN]}"

    async def _nothing_is_left(self) -> None:
        self.look_at_processes()
        code, _ = await self.longwire.stop()
        assert code == 0, self.longwire.log()[-3000:]
        left = [process for process in self._processes if _is_there(process)]
        assert not left, left
        await no_connection_is_left(self.simulator)
        self.longwire.check_log()

    def _summary(self, records: list[DeliveryRecord]) -> str:
        acked = sum(record.phase is Phase.ACKED for record in records)
        again = sum(len(record.sent_at) > 1 for record in records)
        kills = ", ".join(f"{name} {count}" for name, count in sorted(self.killed.items()))
        survived = ", ".join(f"{name} {count}" for name, count in sorted(self.happened.items()))
        return (
            f"{len(records)} events in {self._took_s:.0f} s, {again} pushed again, {acked} acked; "
            f"{self.reader.deliveries()} deliveries of {self.reader.count()} numbers; "
            f"{self.killed.total()} kills ({kills}) in {survived}"
        )


def _is_there(process: psutil.Process) -> bool:
    """Return whether it is; the zombies of a killed template's children are init's, which takes its time."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


Trouble = Callable[[Campaign], Awaitable[None]]
