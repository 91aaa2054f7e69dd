"""The plain SDK, as a user would run it without Longwire: the baseline of what has to do with a platform."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import psutil

from bench.platforms import LARK, Platform
from bench.stage import PROGRAMS
from harness.processes import Program
from harness.simulator import Simulator
from harness.waiting import until

CONNECT_S = 300.0
"""Twenty of them import the SDK side by side on two cores."""

_SDKS = {"lark": "lark-oapi", "dingtalk": "dingtalk-stream"}


def note(platform: Platform) -> str:
    """Return what the baseline is."""
    sdk = _SDKS[platform.name]
    return f"baseline: plain {sdk} in a process of its own, a handler that counts, nothing durable"


NOTE = note(LARK)


class Plain(msgspec.Struct, frozen=True, kw_only=True):
    """A running plain SDK process that is connected."""

    app: str
    program: Program
    report: Path
    start_s: float
    """From its start until it was connected."""
    connected_at: float

    @property
    def pss_bytes(self) -> int:
        """Its share of the memory."""
        pss: int = psutil.Process(self.program.pid).memory_full_info().pss
        return pss

    async def received(self) -> dict[str, float]:
        """End it and return when its handler got which message id."""
        await self.program.stop()
        return msgspec.json.decode(self.report.read_bytes(), type=dict[str, float])


@asynccontextmanager
async def plain_sdk(
    simulator: Simulator, app: str, *, platform: Platform = LARK, folder: Path
) -> AsyncIterator[Plain]:
    """Run one; it is connected on entry and gone afterwards."""
    report = folder / f"{app}.json"
    script = PROGRAMS / f"plain_{platform.name}.py"
    command = [sys.executable, str(script), simulator.url, app, str(report)]
    started_at = time.time()
    program = await Program.start(command, output=folder / f"{app}.log")
    try:

        async def connected() -> float:
            connections = (await simulator.app_state(platform.name, app)).connections
            return connections[0].opened_at if connections else 0.0

        at = await until(connected, what=f"plain {app} is connected", deadline_s=CONNECT_S)
        yield Plain(app=app, program=program, report=report, start_s=at - started_at, connected_at=at)
    finally:
        if program.returncode is None:
            await program.kill()


class Crowd(msgspec.Struct, frozen=True):
    """What many plain SDK processes cost that were started together."""

    start_s: float
    """From the start of the first until the last was connected."""
    pss_bytes: float
    """Of one, on average, while all run."""


async def crowd(simulator: Simulator, size: int, *, folder: Path) -> Crowd:
    """Start so many at once and look at them."""
    begun = time.time()
    ready: list[Plain] = []
    all_ready, may_end = asyncio.Event(), asyncio.Event()

    async def live(app: str) -> None:
        async with plain_sdk(simulator, app, folder=folder) as plain:
            ready.append(plain)
            if len(ready) == size:
                all_ready.set()
            await may_end.wait()

    async with asyncio.TaskGroup() as tasks:
        for number in range(size):
            tasks.create_task(live(f"cli_plain{number}"), name=f"plain {number}")
        await all_ready.wait()
        seen = Crowd(
            max(plain.connected_at for plain in ready) - begun,
            sum(plain.pss_bytes for plain in ready) / size,
        )
        may_end.set()
    return seen
