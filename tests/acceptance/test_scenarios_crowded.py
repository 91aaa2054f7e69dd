"""Scenario G9, its short forms: on a crowded machine nobody is killed for the CPU that he did not get."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.busy import busy_loops, confine, give_way, let_run
from harness.longwire import Longwire
from harness.waiting import stays, until
from longwire import CommandError

PLUGINS = str(Path(__file__).parent.parent / "plugins")
TIMEOUT_S = 1.0
LOOPS = 4


async def start(longwire: Longwire, *, count: int = 1, compute_s: float = 0.0, **settings: float) -> None:
    longwire.configure(
        {f"bot{n}": {"connector": "misbehaving", "compute_s": compute_s} for n in range(count)},
        defaults={"heartbeat_interval_s": 0.2, "heartbeat_timeout_s": TIMEOUT_S, **settings},
    )
    await longwire.start(env={"PYTHONPATH": PLUGINS})


def a_cpu() -> int:
    return min(os.sched_getaffinity(0))


async def test_g9_a_child_that_wants_to_run_and_gets_no_cpu_is_shown_and_not_killed(
    longwire: Longwire, tmp_path: Path
) -> None:
    """It computes for a tenth of a second at a time, which is nothing where it has a CPU.

    Alone: not measured; hermes-agent#53477 reports connections closed with 1011 by starved processes.
    """
    await start(longwire, compute_s=0.1)
    before = await longwire.until_state("bot0", "online")
    async with busy_loops(LOOPS, tmp_path, cpu=a_cpu()):
        confine(before["pid"], a_cpu())
        give_way(before["pid"])

        async def is_starved() -> bool:
            account = await longwire.account("bot0")
            return (account["state"], account["reason"]) == ("degraded", "starved")

        await until(is_starved, what="it is called starved")

        async def lives() -> bool:
            return (await longwire.account("bot0"))["pid"] == before["pid"]

        await stays(lives, what="it is not killed", for_s=4 * TIMEOUT_S)
    let_run(before["pid"], os.sched_getaffinity(0))
    after = await longwire.until_state("bot0", "online")
    assert (after["pid"], after["last_incident"]) == (before["pid"], None)


async def test_g9_a_child_that_spins_is_killed_on_a_crowded_machine_once_it_has_had_its_cpu(
    longwire: Longwire, tmp_path: Path
) -> None:
    """A child that spins is killed on a crowded machine once it has had its cpu.

    Alone: not measured; hermes-agent#53477 reports connections closed with 1011 by starved processes.
    """
    await start(longwire)
    before = await longwire.until_state("bot0", "online")
    async with busy_loops(LOOPS, tmp_path, cpu=a_cpu()):
        confine(before["pid"], a_cpu())
        with pytest.raises(CommandError):
            await longwire.client.call(
                "message.create", {"chat": "c", "text": "wedge"}, account="bot0", deadline_s=0.2
            )

        async def is_killed() -> bool:
            return (await longwire.account("bot0"))["last_incident"] is not None

        await until(is_killed, what="it is killed")
    incident = await longwire.client.call("incident.get", {"id": f"bot0.{before['incarnation']}"})
    assert incident["findings"]["condition"] == "spinning"
    assert incident["findings"]["proc"]["cpu_s"] >= 0.2


async def test_g9_many_fresh_processes_that_start_together_do_not_end_each_other(
    longwire: Longwire, tmp_path: Path
) -> None:
    """Each needs longer than the start timeout to be ready, as they all share one CPU with busy loops.

    Alone: not measured; hermes-agent#53477 reports connections closed with 1011 by starved processes.
    """
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {a_cpu()})  # what is started now inherits it
    try:
        async with busy_loops(LOOPS, tmp_path):
            await start(longwire, count=6, start_timeout_s=1.0, heartbeat_timeout_s=5.0)
            await longwire.until_online(deadline_s=90)
    finally:
        os.sched_setaffinity(0, cpus)
    status = await longwire.status()
    assert [(a["restarts"], a["last_incident"]) for a in status["accounts"]] == [(0, None)] * 6
    started = {line["account"]: line["timestamp"] for line in longwire.log_events("child_started")}
    ready = {line["account"]: line["timestamp"] for line in longwire.log_events("child_ready")}
    assert started.keys() == ready.keys() == longwire.accounts.keys()
