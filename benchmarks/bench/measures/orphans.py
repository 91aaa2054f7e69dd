"""The supervisor is killed among stopped and hung children: how long until none is left (T7)."""

from __future__ import annotations

import os
import signal
import time

import psutil

from bench.processes import Ends
from bench.rows import Row, spread
from bench.rows import Target as Targets
from bench.stage import Bench, Stage, inside, staged
from harness.longwire import lark
from harness.waiting import until

_SOON_S = 0.1
_HEARTBEAT_TIMEOUT_S = 3_600.0
"""Stopped and hung children are to be there when the supervisor dies."""

_NOTE = (
    "a fifth of them stopped, a fifth in a loop that holds the interpreter's lock; templates included; "
    "baseline: SIGKILL to each of such a fleet's processes, its supervisor stopped"
)

_BUSY_S = 0.02
"""CPU that a hung child has used since it was told to hang."""


async def measure(bench: Bench) -> list[Row]:
    """Kill the supervisor of a fleet of which two fifths are in trouble, or all of the fleet, in turn."""
    size, rounds = bench.pick(20, 100), bench.pick(2, 5)
    ours: list[list[float]] = []
    killed: list[list[float]] = []
    async with staged(
        bench,
        lambda url: {f"bot{n}": lark(url, f"cli_bench{n}") for n in range(size)},
        heartbeat_timeout_s=_HEARTBEAT_TIMEOUT_S,
    ) as stage:
        env = inside(stage.folder)
        for _ in range(rounds):
            for seen, kill in ((ours, _kill_supervisor), (killed, _kill_each)):
                await stage.longwire.start(env=env)
                await stage.longwire.until_online()
                await _trouble(stage, size // 5)
                seen.append(await kill(stage))
                await stage.longwire.kill()
    return [
        *spread(
            f"SIGKILL of the supervisor to the last of {size} children gone",
            [times[-1] * 1000 for times in ours],
            tail=95,
            unit="ms",
            target=Targets("<= 100 ms (T7)", "<= 100 ms (T7)"),
            baseline=[times[-1] * 1000 for times in killed],
            note=_NOTE,
        ),
        Row(
            name=f"alive {_SOON_S * 1000:.0f} ms after it, the most of {rounds} rounds",
            value=_alive(ours),
            unit="processes",
            baseline=_alive(killed),
            target="0 (T7)",
            note=_NOTE,
        ),
    ]


def _alive(rounds: list[list[float]]) -> int:
    return max(sum(at > _SOON_S for at in times) for times in rounds)


async def _trouble(stage: Stage, count: int) -> None:
    """Stop so many, and have as many hang."""
    pids = [account["pid"] for account in (await stage.longwire.status())["accounts"]]
    for pid in pids[:count]:
        os.kill(pid, signal.SIGSTOP)
    await _hang(pids[count : 2 * count])


async def _kill_supervisor(stage: Stage) -> list[float]:
    """Return after how many seconds each child and template was gone, in that order."""
    program = stage.longwire.program
    with Ends(process.pid for process in program.descendants()) as ends:
        begun = time.monotonic()
        program.send(signal.SIGKILL)
        await ends.last()
        return [at - begun for at in ends.at]


async def _kill_each(stage: Stage) -> list[float]:
    """Return the same where the supervisor is stopped and all the others are killed from here."""
    program = stage.longwire.program
    pids = [process.pid for process in program.descendants()]
    with Ends(pids) as ends:
        program.send(signal.SIGSTOP)
        begun = time.monotonic()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        await ends.last()
        return [at - begun for at in ends.at]


async def _hang(pids: list[int]) -> None:
    """Have these hold their interpreter's lock, and wait until they do."""
    processes = [psutil.Process(pid) for pid in pids]
    before = [process.cpu_times().user for process in processes]
    for pid in pids:
        os.kill(pid, signal.SIGUSR2)

    async def all_spin() -> bool:
        pairs = zip(processes, before, strict=True)
        return all(process.cpu_times().user > early + _BUSY_S for process, early in pairs)

    await until(all_spin, what="they hang")
