"""Fleets of growing size: their start, their memory, their idling, and `status` of them."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from functools import partial
from typing import Any

import psutil

from bench.costs import Alone, Costs, growth, of_platform, of_supervisor
from bench.floor import floor
from bench.plain import crowd, note
from bench.platforms import DINGTALK, LARK, Platform
from bench.processes import cpu_s, pss_bytes, rss_bytes
from bench.rows import Row
from bench.stage import Bench, Stage, simulated, staged
from harness.waiting import until
from longwire import Client

_PLAINS = 4
_DEADLINE_S = 300.0
_STATUSES = 20
_BETWEEN_KILLS_S, _LOOK_S = 0.02, 0.2


async def measure(bench: Bench) -> list[Row]:
    """Start fleets one after the other, and look at each."""
    sizes = [1, 10] if bench.is_quick else [1, 10, 100, 500, 1000]
    alone = await _alone(bench, LARK)
    rows: list[Row] = []
    fleets: list[Costs] = []
    for size in sizes:
        async with staged(bench, partial(_accounts, LARK, size)) as stage:
            costs = await _costs(bench, stage)
            fleets.append(costs)
            rows += [*of_platform(LARK.title, costs, alone), *of_supervisor(costs)]
            if size == sizes[-1]:
                rows.append(await _heal(stage, kills=max(1, size // 10)))
    size = bench.pick(10, 100)
    async with staged(bench, partial(_accounts, DINGTALK, size)) as stage:
        costs = await _costs(bench, stage)
    return (
        rows
        + of_platform(DINGTALK.title, costs, await _alone(bench, DINGTALK))
        + growth(fleets[bench.pick(0, 1)], fleets[-1])
    )


def _accounts(platform: Platform, size: int, url: str) -> dict[str, dict[str, Any]]:
    return {f"bot{n}": dict(platform.account(url, f"cli_bench{n}")) for n in range(size)}


async def _alone(bench: Bench, platform: Platform) -> Alone:
    folder = bench.new_folder()
    async with (
        simulated(folder) as simulator,
        crowd(simulator, _PLAINS, platform=platform, folder=folder) as plain,
    ):
        text = (
            f"{note(platform)}; {_PLAINS} started at once, and counted up; memory is PSS, of one account "
            "with templates and without supervisor, of all with both"
        )
        processes = [psutil.Process(member.program.pid) for member in plain.members]
        (idle_cpu,) = await _idle([processes], seconds=bench.pick(6, 20))
        return Alone(plain.start_s / _PLAINS, plain.pss_bytes, idle_cpu / _PLAINS, text)


async def _costs(bench: Bench, stage: Stage) -> Costs:
    """Start it, let it settle, and look at it."""
    longwire = stage.longwire
    size = len(longwire.accounts)
    begun = time.time()
    await longwire.start()
    await longwire.until_online(deadline_s=_DEADLINE_S)
    online_at = max(account["since"] for account in (await longwire.status())["accounts"])
    async with floor(bench.new_folder(), beats_per_s=size) as ground:
        await asyncio.sleep(bench.pick(3, 10))  # it settles: identities are asked, memory is looked at
        groups = [[psutil.Process(pid)] for pid in (longwire.program.pid, ground.pid)]
        groups.append(longwire.program.descendants())
        supervisor_cpu, floor_cpu, children_cpu = await _idle(groups, seconds=bench.pick(6, 20))
        floor_bytes = rss_bytes(ground.pid)
        async with Client(ground.endpoint) as echo:
            floor_status_ms = await _statuses_ms(echo, accounts=size)
    return Costs(
        accounts=size,
        start_s=online_at - begun,
        children_bytes=await asyncio.to_thread(pss_bytes, groups[2]),
        supervisor_pss_bytes=pss_bytes(groups[0]),
        supervisor_bytes=rss_bytes(longwire.program.pid),
        supervisor_cpu=supervisor_cpu,
        children_cpu=children_cpu,
        floor_bytes=floor_bytes,
        floor_cpu=floor_cpu,
        status_ms=await _statuses_ms(longwire.client),
        floor_status_ms=floor_status_ms,
    )


async def _idle(groups: list[list[psutil.Process]], *, seconds: float) -> list[float]:
    """Return what each group uses of a core, in percent; side by side: what disturbs one disturbs all."""
    before = [cpu_s(group) for group in groups]
    begun = time.monotonic()
    await asyncio.sleep(seconds)  # the time itself is what is measured
    after = [cpu_s(group) for group in groups]
    took = time.monotonic() - begun
    return [(late - early) / took * 100 for early, late in zip(before, after, strict=True)]


async def _statuses_ms(client: Client, **params: Any) -> list[float]:
    """Ask one after the other; return how many milliseconds each took."""
    took: list[float] = []
    for _ in range(_STATUSES):
        begun = time.perf_counter()
        await client.call("status", params)
        took.append((time.perf_counter() - begun) * 1000)
    return took


async def _heal(stage: Stage, *, kills: int) -> Row:
    """Kill some of them, and wait until all are online again."""
    longwire = stage.longwire
    before = {account["account"]: account for account in (await longwire.status())["accounts"]}
    killed = random.Random(1).sample(sorted(before), kills)
    for name in killed:
        os.kill(before[name]["pid"], signal.SIGKILL)
        await asyncio.sleep(_BETWEEN_KILLS_S)
    last_at = time.time()

    async def healed() -> float:
        accounts = (await longwire.status())["accounts"]
        old = [a for a in accounts if a["account"] in killed and a["pid"] == before[a["account"]]["pid"]]
        is_whole = not old and all(account["state"] == "online" for account in accounts)
        return max(account["since"] for account in accounts) if is_whole else 0.0

    healed_at = await until(healed, what="all are online again", every_s=_LOOK_S)
    return Row(
        name=f"{kills} of {len(before):,} killed, all online again after the last",
        value=(healed_at - last_at) * 1000,
        unit="ms",
        target="-",
        note=f"a SIGKILL every {_BETWEEN_KILLS_S * 1000:.0f} ms, of children chosen at random",
    )
