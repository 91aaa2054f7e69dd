"""A hundred children at once: from the command, and from a supervisor whose templates are warm (T4)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from bench.plain import crowd, note
from bench.platforms import LARK
from bench.rows import Row, middle
from bench.stage import Bench, Stage, staged
from bench.states import States, watching
from harness.longwire import lark

_PLAINS = 4


async def measure(bench: Bench) -> list[Row]:
    """Start the command, then stop and start all accounts by command."""
    size = bench.pick(20, 100)
    cold_s: list[float] = []
    warm_s: list[float] = []
    for _ in range(bench.pick(1, 3)):
        async with staged(bench, lambda url: _accounts(url, size)) as stage:
            begun = time.time()
            await stage.longwire.start()
            async with watching(stage.longwire.client, from_start=True) as states:
                cold_s.append(await states.until_ready(stage.longwire.accounts) - begun)
            await stage.longwire.until_online()
            async with watching(stage.longwire.client) as states:
                warm_s += [await _again(stage, states) for _ in range(2)]
            async with crowd(stage.simulator, _PLAINS, folder=stage.folder) as plain:
                plain_s = plain.start_s * size / _PLAINS
    told = f"{note(LARK)}; until it is connected; {_PLAINS} started at once, and counted up"
    return [
        middle(
            f"{size} children ready, {how}", values, unit="s", target=target, baseline=[plain_s], note=told
        )
        for how, values, target in (
            ("cold", cold_s, "100: <= 6 s (T4)"),
            ("warm", warm_s, "100: <= 1.5 s (T4)"),
        )
    ]


def _accounts(url: str, size: int) -> dict[str, dict[str, Any]]:
    return {f"bot{n}": lark(url, f"cli_bench{n}") for n in range(size)}


async def _again(stage: Stage, states: States) -> float:
    """Stop all and start all, by command; return how long it took until the last child was ready."""
    await _tell_all(stage, "account.stop")
    await states.until("stopped", stage.longwire.accounts)
    begun = time.time()
    await _tell_all(stage, "account.start")
    took_s = await states.until_ready(stage.longwire.accounts) - begun
    await stage.longwire.until_online()
    return took_s


async def _tell_all(stage: Stage, method: str) -> None:
    async with asyncio.TaskGroup() as tasks:
        for name in stage.longwire.accounts:
            tasks.create_task(stage.longwire.client.call(method, account=name), name=f"{method} {name}")
