"""Nothing healthy is killed, however busy the machine (T3, scenario G9)."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from harness.longwire import Longwire, dingtalk, lark
from harness.processes import Program
from harness.simulator import Simulator
from harness.waiting import stays

SOAK_S = float(os.environ.get("LONGWIRE_SOAK_S", "120")) / 2
BUSY_LOOPS = 4
ONLINE_S = 120.0


@asynccontextmanager
async def busy_loops(count: int, folder: Path) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for _ in range(count):
            command = [sys.executable, "-c", "while True: pass"]
            stack.push_async_callback((await Program.start(command, output=folder / "busy.log")).kill)
        yield


@pytest.mark.soak
@pytest.mark.timeout(SOAK_S + 300)
async def test_busy_loops_beside_us_get_no_child_killed(
    simulator: Simulator, longwire: Longwire, tmp_path: Path
) -> None:
    accounts = {f"lark-{n}": lark(simulator.url, f"cli_{n:016x}") for n in range(4)}
    accounts |= {f"ding-{n}": dingtalk(simulator.url, f"ding{n}") for n in range(4)}
    longwire.configure(accounts)
    async with busy_loops(BUSY_LOOPS, tmp_path):
        await longwire.start()
        await longwire.until_online(deadline_s=ONLINE_S)
        before = {account["account"]: account["pid"] for account in (await longwire.status())["accounts"]}

        async def nobody_is_hung() -> bool:
            return "child_hung" not in longwire.log()

        await stays(nobody_is_hung, what="no child is called hung", for_s=SOAK_S)
    after = {account["account"]: account["pid"] for account in (await longwire.status())["accounts"]}
    assert after == before
