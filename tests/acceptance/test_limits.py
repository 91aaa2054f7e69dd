"""Limits of a child."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.longwire import Longwire, Settings


async def start(longwire: Longwire, account: Settings, **settings: Any) -> dict[str, Any]:
    """Start one account; return its status as soon as it is online."""
    longwire.configure({"bot": {**account, **settings}})
    await longwire.start()
    return await longwire.until_state("bot", "online")


def limits_of(pid: int) -> tuple[int, tuple[int, int]]:
    process = psutil.Process(pid)
    soft, hard = process.rlimit(psutil.RLIMIT_NOFILE)
    return process.nice(), (soft, hard)


@pytest.mark.parametrize("isolation", ["fork", "spawn"])
async def test_niceness_and_open_files_are_limited_before_anything_else_runs(
    longwire: Longwire, isolation: str
) -> None:
    account = await start(
        longwire, {"connector": "loopback"}, isolation=isolation, nice=15, max_open_files=333
    )
    assert limits_of(account["pid"]) == (15, (333, 333))
    threads = psutil.Process(account["pid"]).threads()
    assert {psutil.Process(thread.id).nice() for thread in threads} == {15}
    limits = await asyncio.to_thread(Path(f"/proc/{account['pid']}/limits").read_text)
    assert "Max open files            333                  333 " in limits


async def test_no_child_may_take_more_than_its_supervisor(longwire: Longwire) -> None:
    account = await start(longwire, {"connector": "loopback"}, max_open_files=1_048_576)
    _, most = psutil.Process(longwire.program.pid).rlimit(psutil.RLIMIT_NOFILE)
    assert limits_of(account["pid"])[1] == (min(most, 1_048_576),) * 2
