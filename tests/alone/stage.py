"""One row's stage: a simulator, and bots that run on nothing but their SDK."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from harness.processes import Program
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.counters import AppState
from longwire_connectors.simulator.fault_kinds import LarkClientConfig, LarkPongConfig

HERE = Path(__file__).parent
PlatformName = Literal["lark", "dingtalk"]
APPS = {"lark": "cli_00000000000000aa", "dingtalk": "dingalone"}
QUICK = {"ReconnectNonce": 2, "ReconnectInterval": 3, "PingInterval": 1}
"""Timings that the platform pushes, so that a row takes seconds; the SDK obeys them."""


class Stage:
    """What a row plays on."""

    def __init__(self, simulator: Simulator, folder: Path, platform: PlatformName) -> None:
        self.simulator = simulator
        self.folder = folder
        self.platform: PlatformName = platform
        self.app = APPS[platform]
        self.bots: list[Program] = []

    async def bot(self, *, app: str | None = None, python: str = sys.executable) -> Program:
        """Start a bot."""
        url = self.simulator.url
        where = [url] if self.platform == "lark" else []
        command = [python, str(HERE / f"{self.platform}_bot.py"), *where, app or self.app]
        env = {"DINGTALK_OPENAPI_ENDPOINT": url}
        bot = await Program.start(command, output=self.folder / f"bot-{len(self.bots)}.log", env=env)
        self.bots.append(bot)
        return bot

    async def online(self, *, connections: int = 1, app: str | None = None) -> None:
        """Wait for this many open connections."""

        async def open_() -> bool:
            return (await self.state(app)).connections_open >= connections

        await until(open_, what="the bot is connected", deadline_s=120)

    async def state(self, app: str | None = None) -> AppState:
        """Return what the simulator counted."""
        return await self.simulator.app_state(self.platform, app or self.app)

    async def quick(self, **more: object) -> None:
        """Push short timings, or other ones."""
        values = {**QUICK, **more}
        for fault in (LarkClientConfig, LarkPongConfig):
            await self.simulator.fault(fault(platform="lark", values=values))  # type: ignore[arg-type]

    def handled(self) -> list[str]:
        """Return the ids with which handlers were called."""
        lines = "\n".join(bot.text() for bot in self.bots).splitlines()
        return [line.removeprefix("handled ") for line in lines if line.startswith("handled ")]

    async def seconds_until_open(self, *, total: int, deadline_s: float) -> float | None:
        """Return after how long so many connections had been made, `None` for not within the deadline."""
        begun = time.monotonic()

        async def made() -> bool:
            return (await self.state()).connections_total >= total

        try:
            await until(made, deadline_s=deadline_s, every_s=0.05)
        except AssertionError:
            return None
        return time.monotonic() - begun


@asynccontextmanager
async def stage(platform: PlatformName, *, time_scale: float = 1.0) -> AsyncIterator[Stage]:
    """Set up a simulator; in the end everything on it is killed."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        simulator = await Simulator.start(folder, time_scale=time_scale)
        it = Stage(simulator, folder, platform)
        try:
            async with simulator:
                yield it
        finally:
            for program in (*it.bots, simulator.program):
                await program.kill()
