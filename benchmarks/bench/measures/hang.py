"""A child hangs: how long past the heartbeat timeout it lives on, and whether its incident says where."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from bench.rows import Row, Target, spread
from bench.stage import Bench, Stage, staged
from harness.waiting import DEADLINE_S, until
from longwire import CommandError

_INTERVAL_S, _TIMEOUT_S = 0.2, 1.0
_ASKED_S = 0.05
"""Deadline of the command that makes a child hang: it is never answered."""

_PLUGINS = Path(__file__).parents[3] / "tests" / "plugins"
_NOTE = (
    "from the hang, so up to one interval (200 ms) after the last heartbeat; "
    "circus, supervisord, honcho and the plain SDK never notice"
)


class _Hang(msgspec.Struct, frozen=True):
    """One that was seen to its end."""

    overshoot_ms: float
    """Past the timeout; negative where the last heartbeat was some time ago."""
    findings: dict[str, Any]


async def measure(bench: Bench) -> list[Row]:
    """Have children hang at random moments, of each kind one at a time, side by side to save time."""
    kinds: dict[str, Callable[[Stage, str], Awaitable[None]]] = {
        "SIGSTOP": _stop,
        "GIL held in C": _command("hold the gil"),
        "endless loop": _command("wedge"),
        "blocked loop": _command("block"),
    }
    async with staged(
        bench,
        lambda _: {name.replace(" ", "-"): {"connector": "misbehaving"} for name in kinds},
        heartbeat_interval_s=_INTERVAL_S,
        heartbeat_timeout_s=_TIMEOUT_S,
        backoff_initial_s=0.0,
        backoff_max_s=0.0,
    ) as stage:
        await stage.longwire.start(env={"PYTHONPATH": str(_PLUGINS), "PYTHONDONTWRITEBYTECODE": "1"})
        hangs = {kind: [] for kind in kinds}
        for _ in range(bench.pick(3, 20)):
            for kind, begin in kinds.items():  # in turn: two that spin would take the cores from the third
                hangs[kind].append(await _hang(stage, kind.replace(" ", "-"), begin))
    return [*_overshoots(hangs), _told(hangs)]


def _overshoots(hangs: dict[str, list[_Hang]]) -> list[Row]:
    return [
        row
        for kind, seen in hangs.items()
        for row in spread(
            f"child hung ({kind}) to killed, past the timeout",
            [hang.overshoot_ms for hang in seen],
            tail=95,
            unit="ms",
            target=Target("<= 200 ms", "<= 100 ms (T2)"),
            note=_NOTE,
        )
    ]


def _told(hangs: dict[str, list[_Hang]]) -> Row:
    """Return the share of hangs whose incident tells the condition, and the stacks where there can be any."""
    told = [
        hang.findings["condition"] == "stopped" if kind == "SIGSTOP" else bool(hang.findings["stacks"])
        for kind, seen in hangs.items()
        for hang in seen
    ]
    return Row(
        name="hangs with their evidence in the incident",
        value=100 * sum(told) / len(told),
        unit="%",
        target="100 % (T13)",
        note=f"of {len(told)}: the stacks, or of one that was stopped that it was",
    )


async def _hang(stage: Stage, name: str, begin: Callable[[Stage, str], Awaitable[None]]) -> _Hang:
    await stage.longwire.until_online(name)
    await asyncio.sleep(random.uniform(0, 2 * _INTERVAL_S))  # the moment within the interval is random
    account = await stage.longwire.account(name)
    end = os.pidfd_open(account["pid"])
    try:
        begun_at = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(begin(stage, name))
            await _ended(end)
        overshoot_s = time.monotonic() - begun_at - _TIMEOUT_S
    finally:
        os.close(end)
    incident_id = f"{name}.{account['incarnation']}"

    async def incident() -> dict[str, Any] | None:
        with suppress(CommandError):  # it is not there yet
            found: dict[str, Any] = await stage.longwire.client.call("incident.get", {"id": incident_id})
            return found
        return None

    found = await until(incident, what="its incident")
    return _Hang(overshoot_s * 1000, found["findings"])


async def _stop(stage: Stage, name: str) -> None:
    os.kill((await stage.longwire.account(name))["pid"], signal.SIGSTOP)


def _command(how: str) -> Callable[[Stage, str], Awaitable[None]]:
    async def ask(stage: Stage, name: str) -> None:
        params = {"chat": "c", "text": how}
        with suppress(CommandError):
            await stage.longwire.client.call("message.create", params, account=name, deadline_s=_ASKED_S)

    return ask


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
