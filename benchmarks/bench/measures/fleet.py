"""Many Lark accounts in one supervisor: their start, their memory, their idling, and commands for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import psutil

from bench.floor import Floor, floor
from bench.plain import NOTE, Crowd, crowd
from bench.rows import Row, Target, spread
from bench.stage import Bench, Stage, staged
from harness.longwire import lark
from longwire import Client

_MIB = 1024 * 1024
_START_DEADLINE_S = 300.0
_SETTLE_S = 2.0
"""After a start, before idling is looked at: identities are asked, first heartbeats come."""


async def measure(bench: Bench) -> list[Row]:
    """Start a fleet, look at it, let it idle, ask it."""
    size, plains = bench.pick(20, 100), 4
    async with staged(
        bench, lambda url: {f"bot{n}": lark(url, f"cli_bench{n}") for n in range(size)}
    ) as stage:
        plain = await crowd(stage.simulator, plains, folder=stage.folder)
        rows = [await _start(stage, plain, plains=plains), _memory(stage, plain)]
        async with floor(bench.new_folder(), beats_per_s=size) as ground:
            await asyncio.sleep(_SETTLE_S)  # what is measured next is a time without events
            rows += await _idle(stage, ground, seconds=bench.pick(6, 20))
            rows += await _control(stage, ground, rounds=bench.pick(10, 30))
    return rows


async def _start(stage: Stage, plain: Crowd, *, plains: int) -> Row:
    size = len(stage.longwire.accounts)
    begun = time.time()
    await stage.longwire.start()
    await stage.longwire.until_online(deadline_s=_START_DEADLINE_S)
    accounts = (await stage.longwire.status())["accounts"]
    return Row(
        name=f"start to all online, {size} accounts",
        value=max(account["since"] for account in accounts) - begun,
        unit="s",
        baseline=plain.start_s * size / plains,
        target="100: <= 3 s",
        note=f"{NOTE}; {plains} started at once, and counted up",
    )


def _memory(stage: Stage, plain: Crowd) -> Row:
    pss = [child.memory_full_info().pss for child in stage.longwire.program.descendants()]
    return Row(
        name="PSS per connected Lark account",
        value=sum(pss) / len(stage.longwire.accounts) / _MIB,
        unit="MiB",
        baseline=plain.pss_bytes / _MIB,
        target="<= 10 MB",
        note=f"{NOTE}; templates included, supervisor not",
    )


async def _idle(stage: Stage, ground: Floor, *, seconds: float) -> list[Row]:
    """Look at both at once: what disturbs the one disturbs the other."""
    supervisor, other = psutil.Process(stage.longwire.program.pid), psutil.Process(ground.pid)
    before = [_cpu_s(process) for process in (supervisor, other)]
    begun = time.monotonic()
    await asyncio.sleep(seconds)  # the time itself is what is measured
    took = time.monotonic() - begun
    ours, theirs = (
        (_cpu_s(process) - earlier) / took * 100
        for process, earlier in zip((supervisor, other), before, strict=True)
    )
    size = len(stage.longwire.accounts)
    note = "baseline: an asyncio process that reads as many heartbeats from a ZeroMQ socket and does nothing"
    return [
        Row(
            name=f"supervisor idle, {size} online",
            value=ours,
            unit="% of a core",
            baseline=theirs,
            target="500: <= 5 %; T6: <= 1 %",
            note=note,
        ),
        Row(
            name="supervisor RSS",
            value=supervisor.memory_info().rss / _MIB,
            unit="MiB",
            baseline=other.memory_info().rss / _MIB,
            target="500: <= 100 MB; T6: <= 60 MB",
            note=note,
        ),
    ]


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def _control(stage: Stage, ground: Floor, *, rounds: int) -> list[Row]:
    names = list(stage.longwire.accounts)
    client = stage.longwire.client
    ours = await _rounds(lambda n: client.call("account.get", account=names[n % len(names)]), rounds)
    async with Client(ground.endpoint) as echo:
        theirs = await _rounds(lambda _: echo.call("account.get"), rounds)
    return spread(
        "100 concurrent account.get",
        ours,
        tail=99,
        unit="ms",
        target=Target("-", "<= 50 ms (T9)"),
        baseline=theirs,
        note="baseline: the same client, a ROUTER that sends a ready-made reply",
    )


async def _rounds(ask: Callable[[int], Awaitable[object]], rounds: int) -> list[float]:
    """Return how many milliseconds each request took, a hundred of them under way at once."""

    async def timed(number: int) -> float:
        begun = time.perf_counter()
        await ask(number)
        return (time.perf_counter() - begun) * 1000

    await asyncio.gather(*(timed(n) for n in range(100)))
    took: list[float] = []
    for _ in range(rounds):
        took += await asyncio.gather(*(timed(n) for n in range(100)))
    return took
