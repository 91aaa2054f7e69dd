"""A child hangs: how long past the heartbeat timeout it lives on."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time

from bench.rows import Row, Target, spread
from bench.stage import Bench, Stage, staged
from harness.longwire import lark
from harness.waiting import DEADLINE_S

_INTERVAL_S, _TIMEOUT_S = 0.2, 1.0
_ACCOUNTS = 4
_NOTE = (
    "from SIGSTOP, so up to one interval (200 ms) after the last heartbeat; "
    "circus, supervisord, honcho and the plain SDK never notice"
)


async def measure(bench: Bench) -> list[Row]:
    """Freeze children at random moments, several side by side to save time."""
    async with staged(
        bench,
        lambda url: {f"bot{n}": lark(url, f"cli_bench{n}") for n in range(_ACCOUNTS)},
        heartbeat_interval_s=_INTERVAL_S,
        heartbeat_timeout_s=_TIMEOUT_S,
        backoff_initial_s=0.0,
        backoff_max_s=0.0,
    ) as stage:
        await stage.longwire.start()
        await stage.longwire.until_online()
        async with asyncio.TaskGroup() as tasks:
            works = [
                tasks.create_task(_freeze(stage, name, times=bench.pick(3, 5)), name=f"freeze {name}")
                for name in stage.longwire.accounts
            ]
    overshoots = [overshoot for work in works for overshoot in work.result()]
    return spread(
        "child hung to killed, past the timeout",
        overshoots,
        tail=95,
        unit="ms",
        target=Target("<= 200 ms", "<= 100 ms (T2)"),
        note=_NOTE,
    )


async def _freeze(stage: Stage, name: str, *, times: int) -> list[float]:
    """Return milliseconds past the timeout; negative where the last heartbeat was some time ago."""
    overshoots: list[float] = []
    for _ in range(times):
        await stage.longwire.until_online(name)
        await asyncio.sleep(random.uniform(0, 2 * _INTERVAL_S))  # the moment within the interval is random
        pid = (await stage.longwire.account(name))["pid"]
        end = os.pidfd_open(pid)
        try:
            frozen_at = time.monotonic()
            os.kill(pid, signal.SIGSTOP)
            await _ended(end)
        finally:
            os.close(end)
        overshoots.append((time.monotonic() - frozen_at - _TIMEOUT_S) * 1000)
    return overshoots


async def _ended(pidfd: int) -> None:
    """Wait until the process is dead."""
    loop = asyncio.get_running_loop()
    dead = asyncio.Event()
    loop.add_reader(pidfd, dead.set)
    try:
        async with asyncio.timeout(DEADLINE_S):
            await dead.wait()
    finally:
        loop.remove_reader(pidfd)
