"""Nothing healthy is killed, however busy the machine (T3, scenarios D6 and G9)."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.busy import busy_loops
from harness.longwire import Longwire, dingtalk, lark
from harness.simulator import Simulator
from harness.waiting import stays

SOAK_S = float(os.environ.get("LONGWIRE_SOAK_S", "600"))
BUSY_LOOPS = 32
ONLINE_S = 600.0
STOPPED_S = 60.0
RESTART_EACH_S = 10.0


def fleet(url: str, *, each: int) -> dict[str, dict[str, Any]]:
    """Return accounts of every connector."""
    accounts = {f"lark-{n}": lark(url, f"cli_{n:016x}") for n in range(each)}
    accounts |= {f"ding-{n}": dingtalk(url, f"ding{n}") for n in range(each)}
    return accounts | {f"loop-{n}": {"connector": "loopback", "rate_per_s": 0.2} for n in range(each)}


async def nobody_was_killed(longwire: Longwire) -> bool:
    return await longwire.client.call("incident.list") == [] and "child_hung" not in longwire.log()


@pytest.mark.soak
@pytest.mark.timeout(SOAK_S + 2 * ONLINE_S)
async def test_g9_busy_loops_beside_us_get_no_child_killed_running_or_starting(
    simulator: Simulator, longwire: Longwire, tmp_path: Path
) -> None:
    """Busy loops beside us get no child killed running or starting.

    Alone: not measured; hermes-agent#53477 reports connections closed with 1011 by starved processes.
    """
    longwire.configure(fleet(simulator.url, each=4))
    async with busy_loops(BUSY_LOOPS, tmp_path):
        await longwire.start()
        await longwire.until_online(deadline_s=ONLINE_S)
        left_alone = {"lark-0", "ding-0", "loop-0"}
        before = await pids(longwire, left_alone)
        async with restarting(longwire, itertools.cycle(longwire.accounts.keys() - left_alone)):
            await stays(
                lambda: nobody_was_killed(longwire), what="no child is called hung or has died", for_s=SOAK_S
            )
        await longwire.until_online(deadline_s=ONLINE_S)
    assert await pids(longwire, left_alone) == before


@pytest.mark.soak
@pytest.mark.timeout(2 * ONLINE_S)
async def test_g9_a_hundred_fresh_processes_that_start_together_get_none_of_them_killed(
    simulator: Simulator, longwire: Longwire, tmp_path: Path
) -> None:
    """A hundred fresh processes that start together get none of them killed.

    Alone: not measured; hermes-agent#53477 reports connections closed with 1011 by starved processes.
    """
    accounts = {f"bot-{n}": lark(simulator.url, f"cli_{n:016x}", isolation="spawn") for n in range(100)}
    longwire.configure(accounts)
    async with busy_loops(4, tmp_path):
        await longwire.start()
        await longwire.until_online(deadline_s=ONLINE_S)
    assert await nobody_was_killed(longwire)
    assert {account["restarts"] for account in (await longwire.status())["accounts"]} == {0}


@pytest.mark.soak
@pytest.mark.timeout(STOPPED_S + 2 * ONLINE_S)
async def test_d6_a_supervisor_that_was_stopped_for_a_minute_kills_nobody(
    simulator: Simulator, longwire: Longwire
) -> None:
    """Twenty children of real SDKs, and not one of them is another afterwards.

    Alone: by its code, a bot in a stopped process is silent as long: nothing is read, no ping is sent and
    nothing is acked. There is no supervisor.
    """
    longwire.configure(fleet(simulator.url, each=10))
    await longwire.start()
    await longwire.until_online(deadline_s=ONLINE_S)
    before = await pids(longwire, longwire.accounts.keys())
    os.kill(longwire.program.pid, signal.SIGSTOP)
    await asyncio.sleep(STOPPED_S)
    os.kill(longwire.program.pid, signal.SIGCONT)
    await stays(lambda: nobody_was_killed(longwire), what="nobody is killed for it", for_s=15)
    assert await pids(longwire, longwire.accounts.keys()) == before
    assert not longwire.log_events("link_in_doubt")


async def pids(longwire: Longwire, names: Any) -> dict[str, int | None]:
    accounts = (await longwire.status())["accounts"]
    return {account["account"]: account["pid"] for account in accounts if account["account"] in names}


@asynccontextmanager
async def restarting(longwire: Longwire, names: Iterator[str]) -> AsyncIterator[None]:
    """Restart one account after the other, so that starts are among what must not be killed."""

    async def restart() -> None:
        for name in names:
            await asyncio.sleep(RESTART_EACH_S)
            await longwire.client.call("account.restart", account=name)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(restart())
        yield
        task.cancel()
