"""A hundred children are told to leave, and are slow or deaf: how long until nothing is left (T5)."""

from __future__ import annotations

import signal
import time
from typing import Any

from bench.processes import Ends, ended_by
from bench.rows import Row, middle
from bench.stage import Bench, inside, staged
from harness.longwire import Longwire
from harness.waiting import until

_LEAVE_S = 0.2
_DEAF = "deaf"
_GRACE_S = 3.0
"""From the stop frame to SIGKILL: three quarters of the default stop timeout (`longwire.child`)."""

_HEARTBEAT_TIMEOUT_S = 3_600.0
"""A deaf child is not to be killed for its silence before the stop begins."""

_HOW = "from SIGTERM of the supervisor until it, its templates and all children are gone"


async def measure(bench: Bench) -> list[Row]:
    """Let children leave slowly, and then not at all."""
    size, rounds = bench.pick(20, 100), bench.pick(1, 3)
    slow_s = [await _stop(bench, size, leave_s=_LEAVE_S) for _ in range(rounds)]
    deaf_s = [await _stop(bench, size, trouble=_DEAF) for _ in range(rounds)]
    folder = bench.new_folder()
    left_s = [await ended_by(signal.SIGTERM, size, folder=folder, leave_s=_LEAVE_S) for _ in range(rounds)]
    killed_s = [_GRACE_S + await ended_by(signal.SIGKILL, size, folder=folder) for _ in range(rounds)]
    return [
        middle(
            f"{size} children that take {_LEAVE_S * 1000:.0f} ms to leave, all gone",
            slow_s,
            unit="s",
            target="100: <= 0.5 s (T5)",
            baseline=left_s,
            note=f"{_HOW}; baseline: SIGTERM to as many bare forks that take as long",
        ),
        middle(
            f"{size} children that heed nothing but SIGKILL, all gone",
            deaf_s,
            unit="s",
            target="100: <= 3.3 s, the grace + 0.3 s (T5)",
            baseline=killed_s,
            note=f"{_HOW}; baseline: the grace of {_GRACE_S:g} s, then SIGKILL to as many bare forks",
        ),
    ]


async def _stop(bench: Bench, size: int, **options: Any) -> float:
    accounts = {f"bot{n}": {"connector": "troubled", **options} for n in range(size)}
    async with staged(bench, lambda _: accounts, heartbeat_timeout_s=_HEARTBEAT_TIMEOUT_S) as stage:
        await stage.longwire.start(env=inside(stage.folder))
        await stage.longwire.until_online()
        if options.get("trouble") == _DEAF:
            await _until_deaf(stage.longwire, size)
        program = stage.longwire.program
        with Ends([program.pid, *(process.pid for process in program.descendants())]) as ends:
            begun = time.monotonic()
            program.send(signal.SIGTERM)
            took_s = await ends.last() - begun
        assert await program.ended() == 0
        return took_s


async def _until_deaf(longwire: Longwire, size: int) -> None:
    """Wait until each child has said that it is going deaf (`longwire_troubled`)."""

    async def all_said_so() -> bool:
        return sum(str(line.get("text")).startswith(_DEAF) for line in longwire.log_events("output")) == size

    await until(all_said_so, what="all are deaf")
