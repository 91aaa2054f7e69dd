"""What a connected Lark account weighs: before and after traffic, collections, time and a burst."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from bench.plain import NOTE, Crowd, crowd
from bench.processes import MB, pss_bytes
from bench.rows import Row
from bench.stage import Bench, Stage, inside, staged
from harness.longwire import lark
from harness.waiting import until
from longwire_connectors.simulator.injections import LarkEvent

_PLAINS = 4
_EVENTS = 1_000
"""Of each account, each time."""

_PER_S = 500.0
"""Events of all accounts together, where they are paced: what two cores carry beside the simulator."""

_PORTIONS = 5
"""The simulator remembers 100,000 unfinished deliveries at most."""

_SETTLE_S = 3.0
_DEADLINE_S = 300.0
_LOOK_S = 0.2
"""Between looks at the simulator, which tells everything each time."""


async def measure(bench: Bench) -> list[Row]:
    """Weigh the same fleet, and plain processes beside it to which the same happens, again and again."""
    size, wait_s = bench.pick(10, 100), bench.pick(12, 1800)
    rows: list[Row] = []
    async with staged(bench, lambda url: {f"bot{n}": lark(url, f"cli_bot{n}") for n in range(size)}) as stage:
        env = inside(stage.folder)
        async with crowd(stage.simulator, _PLAINS, folder=stage.folder, env=env) as plain:
            await stage.longwire.start(env=env)
            await stage.longwire.until_online()
            apps = [account["app_id"] for account in stage.longwire.accounts.values()]
            apps += [member.app for member in plain.members]
            await asyncio.sleep(_SETTLE_S)  # identities are asked
            rows.append(_weigh(stage, plain, "connected"))
            await _pace(stage, apps)
            rows.append(_weigh(stage, plain, f"after {_EVENTS:,} events each"))
            await _collect(stage, plain, Path(env["PYTHONPATH"]))
            rows.append(_weigh(stage, plain, "after a full collection in each"))
            await asyncio.sleep(wait_s)  # the time itself is what is measured
            rows.append(_weigh(stage, plain, f"{wait_s / 60:g} min later"))
            await _flood(stage, apps)
            rows.append(_weigh(stage, plain, f"after {_EVENTS:,} more at once each"))
    return rows


def _weigh(stage: Stage, plain: Crowd, when: str) -> Row:
    children = stage.longwire.program.descendants()
    size = len(stage.longwire.accounts)
    return Row(
        name=f"PSS per account of {size}, {when}",
        value=pss_bytes(children) / size / MB,
        unit="MB",
        baseline=plain.pss_bytes / MB,
        target="100: <= 10 MB",
        note=f"{NOTE}; {_PLAINS} of them beside the fleet, the same happens to them; templates included",
    )


async def _pace(stage: Stage, apps: list[str]) -> None:
    """Let the events of all happen side by side, so many a second."""
    for _ in range(_PORTIONS):
        await _happen(stage, apps, count=_EVENTS // _PORTIONS, rate_per_s=_PER_S / len(apps))
    stored = [account["events"] for account in (await stage.longwire.status())["accounts"]]
    assert stored == [_EVENTS] * len(stored), stored


async def _flood(stage: Stage, apps: list[str]) -> None:
    """Let the events of one account after the other happen, all at once."""
    for app in apps:
        await _happen(stage, [app], count=_EVENTS, rate_per_s=None)


async def _happen(stage: Stage, apps: list[str], *, count: int, rate_per_s: float | None) -> None:
    """Let so many events happen to each of these, and wait until all are acked."""
    before = (await stage.simulator.state()).lark
    for app in apps:
        await stage.simulator.inject_lark(LarkEvent(app=app, count=count, rate_per_s=rate_per_s))

    async def all_acked() -> bool:
        now = (await stage.simulator.state()).lark
        return all(now[app].acked == before[app].acked + count for app in apps)

    await until(all_acked, what="all events are acked", deadline_s=_DEADLINE_S, every_s=_LOOK_S)


async def _collect(stage: Stage, plain: Crowd, marks: Path) -> None:
    """Have each child, and each plain process, collect all its garbage."""
    pids = [account["pid"] for account in (await stage.longwire.status())["accounts"]]
    pids += [member.program.pid for member in plain.members]
    for pid in pids:
        os.kill(pid, signal.SIGUSR1)

    async def all_collected() -> bool:
        return all((marks / f"collected-{pid}").exists() for pid in pids)

    await until(all_collected, what="all have collected", deadline_s=_DEADLINE_S, every_s=_LOOK_S)
