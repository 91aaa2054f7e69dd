"""An outage of both platforms: no connection is left, and whoever asks for one is told to come later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from bench.platforms import DINGTALK, LARK
from bench.stage import Stage
from harness.simulator import Simulator
from longwire_connectors.simulator.diary import Entry
from longwire_connectors.simulator.fault_kinds import DingTalkOpenStatus, LarkDiscoveryStatus

BACK_S = 600.0
"""To wait for the last account; how long it took is what is measured."""

_ONLINE_S = 300.0
_LOOK_S = 1.0


class Look(msgspec.Struct, frozen=True):
    """What `status` said at one moment."""

    at: float
    online: int
    parked: int


class Watch:
    """Looks at `status` and at the platforms' diary every second."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.looks: list[Look] = []
        self.entries: list[Entry] = []

    async def look(self) -> Look:
        """Look once."""
        states = [account["state"] for account in (await self._stage.longwire.status())["accounts"]]
        self.looks.append(Look(time.time(), states.count("online"), states.count("parked")))
        known = self.entries[-1].number if self.entries else 0
        self.entries += await self._stage.simulator.diary(after=known)
        return self.looks[-1]

    async def look_for(self, seconds: float) -> None:
        """Look until so much time has passed."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await self.look()
            await asyncio.sleep(_LOOK_S)  # the pace is what is wanted

    async def until_all_online(self, *, deadline_s: float = BACK_S) -> None:
        """Look until every account is online, or until the deadline."""
        end = time.monotonic() + deadline_s
        while (await self.look()).online < len(self._stage.longwire.accounts):
            if time.monotonic() > end:
                return
            await asyncio.sleep(_LOOK_S)

    def attempts(self, platform: str | None = None) -> list[float]:
        """Return when a connection was asked for, of one platform or of both."""
        return [e.at for e in self.entries if e.what == "asked" and platform in {None, e.platform}]


def crowd(url: str, *, lark: int, dingtalk: int) -> dict[str, dict[str, Any]]:
    """Return so many accounts of each platform."""
    larks = {f"lark-{n}": dict(LARK.account(url, f"cli_{n:016x}")) for n in range(lark)}
    dings = {f"ding-{n}": dict(DINGTALK.account(url, f"ding{n}")) for n in range(dingtalk)}
    return larks | dings


@asynccontextmanager
async def watched(stage: Stage) -> AsyncIterator[Watch]:
    """Start the supervisor, and wait until all accounts have been online."""
    await stage.longwire.start(log_level="info")
    await stage.longwire.until_online(deadline_s=_ONLINE_S)
    watch = Watch(stage)
    await watch.look()
    yield watch


async def begin(simulator: Simulator) -> None:
    """Cut every connection, and refuse new ones."""
    await simulator.fault(LarkDiscoveryStatus(platform="lark", status=503))
    await simulator.fault(DingTalkOpenStatus(platform="dingtalk", status=503))
    await simulator.drop("lark", how="abort")
    await simulator.drop("dingtalk", how="abort")


async def end(simulator: Simulator) -> None:
    """Let everyone in again."""
    await simulator.clear_faults()


def busiest(moments: Sequence[float], *, window_s: float = 1.0) -> int:
    """Return the most moments that lie within any such window."""
    ordered, first, most = sorted(moments), 0, 0
    for last, moment in enumerate(ordered):
        while ordered[first] <= moment - window_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def per_second(moments: Sequence[float], *, begin: float, end: float) -> list[tuple[float, float]]:
    """Return how many there are in each second since `begin`, seconds without any included."""
    counts = [0] * (max(0, int(end - begin)) + 1)
    for moment in moments:
        if begin <= moment <= end:
            counts[int(moment - begin)] += 1
    return [(float(second), float(count)) for second, count in enumerate(counts)]
