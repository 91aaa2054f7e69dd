"""The plain SDK, as a user would run it without Longwire: the baseline of what has to do with a platform."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import psutil

from bench.platforms import LARK, Platform
from bench.processes import pss_bytes
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
        return pss_bytes([psutil.Process(self.program.pid)])

    async def received(self) -> dict[str, float]:
        """End it and return when its handler got which message id."""
        await self.program.stop()
        return msgspec.json.decode(self.report.read_bytes(), type=dict[str, float])


@asynccontextmanager
async def plain_sdk(
    simulator: Simulator,
    app: str,
    *,
    platform: Platform = LARK,
    folder: Path,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[Plain]:
    """Run one; it is connected on entry and gone afterwards."""
    report = folder / f"{app}.json"
    script = PROGRAMS / f"plain_{platform.name}.py"
    command = [sys.executable, str(script), simulator.url, app, str(report)]
    started_at = time.time()
    program = await Program.start(command, output=folder / f"{app}.log", env=env)
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
    """Plain SDK processes that were started together, and run."""

    members: list[Plain]
    begun: float

    @property
    def start_s(self) -> float:
        """From the start of the first until the last was connected."""
        return max(plain.connected_at for plain in self.members) - self.begun

    @property
    def pss_bytes(self) -> float:
        """Of one, on average, while all run."""
        return sum(plain.pss_bytes for plain in self.members) / len(self.members)


@asynccontextmanager
async def crowd(
    simulator: Simulator,
    size: int,
    *,
    platform: Platform = LARK,
    folder: Path,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[Crowd]:
    """Start so many at once; all are connected on entry and gone afterwards."""
    begun = time.time()
    async with AsyncExitStack() as stack:
        async with asyncio.TaskGroup() as tasks:
            starts = [
                tasks.create_task(
                    stack.enter_async_context(
                        plain_sdk(simulator, f"cli_plain{n}", platform=platform, folder=folder, env=env)
                    ),
                    name=f"plain {n}",
                )
                for n in range(size)
            ]
        yield Crowd([start.result() for start in starts], begun)
