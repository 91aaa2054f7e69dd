"""Scenarios of liveness, by their ids: what is dead is noticed and told, what is alive is let be."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.longwire import Longwire
from harness.processes import COMMAND, is_alive
from harness.waiting import until
from longwire import CommandError

PLUGINS = Path(__file__).parent.parent / "plugins"
TOKEN = "token-that-nobody-may-see"
TIMEOUT_S = 1.0


async def start_misbehaving(longwire: Longwire, *, load_s: float = 0.0) -> dict[str, Any]:
    """Start an account that does as it is told; return its status."""
    longwire.configure(
        {"bad": {"connector": "misbehaving", "token": TOKEN, "load_s": load_s}},
        defaults={
            "heartbeat_interval_s": 0.2,
            "heartbeat_timeout_s": TIMEOUT_S,
            "start_timeout_s": 2 * TIMEOUT_S if load_s else 60.0,
            "backoff_initial_s": 30.0,
        },
    )
    await longwire.start(env={"PYTHONPATH": str(PLUGINS)})
    if load_s:
        return await longwire.until_state("bad", "starting")
    return await longwire.until_state("bad", "online")


async def misbehave(longwire: Longwire, how: str) -> None:
    params = {"chat": "c", "text": how}
    with pytest.raises(CommandError):
        await longwire.client.call("message.create", params, account="bad", deadline_s=0.2)


async def incident_of(longwire: Longwire, name: str) -> dict[str, Any]:
    """Wait until there is one; return all of it."""

    async def look() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await longwire.client.call("incident.list", account=name)
        return found

    newest = (await until(look, what=f"an incident of {name}"))[0]
    whole: dict[str, Any] = await longwire.client.call("incident.get", {"id": newest["id"]})
    return whole


def in_order(longwire: Longwire, *events: str) -> bool:
    """Return whether the log has these events in this order."""
    log, at = longwire.log(), -1
    for event in events:
        at = log.find(f'"event": "{event}"', at + 1)
        if at < 0:
            return False
    return True


# G5: the evidence of a wedged loop.


@pytest.mark.parametrize(
    ("how", "condition", "innermost"),
    [
        ("wedge", "spinning", "in _wedge"),
        ("hold the gil", "spinning", "in <lambda>"),
        ("block", "blocked", "in _wait_for_the_platform"),
    ],
    ids=["an endless loop", "C code that keeps the GIL", "a wait on the loop"],
)
async def test_g5_the_stacks_of_a_wedged_loop_are_in_the_log_and_its_incident_before_it_is_killed(
    longwire: Longwire, how: str, condition: str, innermost: str
) -> None:
    """Whatever wedges the loop, the operator can read where it stood.

    Alone: the process lives on and is deaf for days, without a word; a thread of its own would beat on.
    """
    before = await start_misbehaving(longwire)
    await misbehave(longwire, how)
    incident = await incident_of(longwire, "bad")
    assert (incident["kind"], incident["reason"]) == ("killed", "heartbeat_timeout")
    assert (incident["pid"], incident["incarnation"]) == (before["pid"], before["incarnation"])
    findings = incident["findings"]
    assert findings["condition"] == condition
    assert innermost in findings["stacks"].splitlines()[1]
    assert "longwire_misbehaving.py" in findings["stacks"]
    assert findings["proc"]["window_s"] > 0
    assert incident["liveness"]["loop"]["is_ok"] is False
    account = await longwire.until_state("bad", "backoff")
    assert in_order(longwire, "child_stacks", "child_hung", "child_exited")
    assert account["last_incident"]["id"] == incident["id"]
    assert not is_alive(before["pid"])


async def test_g5_of_a_stopped_process_the_incident_says_so(longwire: Longwire) -> None:
    before = await start_misbehaving(longwire)
    os.kill(before["pid"], signal.SIGSTOP)
    incident = await incident_of(longwire, "bad")
    assert incident["findings"]["condition"] == "stopped"
    assert incident["liveness"]["process"]["is_ok"] is False
    assert not is_alive(before["pid"])


async def test_g5_a_start_that_hangs_in_its_import_is_found_and_says_where(longwire: Longwire) -> None:
    started = await start_misbehaving(longwire, load_s=600.0)
    assert started["phase"] in {None, "importing"}
    incident = await incident_of(longwire, "bad")
    assert (incident["reason"], incident["phase"]) == ("start_timeout", "importing")
    assert incident["findings"]["condition"] == "blocked"
    assert "in load" in incident["findings"]["stacks"]
    assert (await longwire.account("bad"))["reason"] == "start_timeout"


async def test_g5_a_crash_leaves_its_last_words_without_secrets_and_outlives_the_supervisor(
    longwire: Longwire,
) -> None:
    longwire.allowed = {"Traceback"}
    await start_misbehaving(longwire)
    await misbehave(longwire, "crash")
    incident = await incident_of(longwire, "bad")
    assert (incident["kind"], incident["exit_code"]) == ("exited", -signal.SIGSEGV)
    assert any("last words with [redacted]" in line for line in incident["log"])
    assert any("Segmentation fault" in line for line in incident["log"])
    file = longwire.folder / "var" / "incidents" / f"{incident['id']}.json"

    async def is_written() -> bool:
        return file.exists()

    await until(is_written, what="the incident is on disk")
    assert file.stat().st_mode & 0o777 == 0o600
    assert TOKEN not in file.read_text()
    await longwire.kill()
    await longwire.start(env={"PYTHONPATH": str(PLUGINS)})
    shown = await by_command(longwire, "incidents", "show", incident["id"], "--json")
    assert json.loads(shown) == incident
    assert incident["id"] in await by_command(longwire, "incidents", "bad")
    assert "Segmentation fault" in await by_command(longwire, "incidents", "show", incident["id"])
    assert await by_command(longwire, "incidents", "good") == ""


async def test_a_planned_stop_is_no_incident(longwire: Longwire) -> None:
    await start_misbehaving(longwire)
    await longwire.client.call("account.restart", account="bad")
    await longwire.until_state("bad", "online")
    await longwire.client.call("account.stop", account="bad")
    assert (await longwire.until_state("bad", "stopped"))["last_incident"] is None
    assert await longwire.client.call("incident.list") == []


async def by_command(longwire: Longwire, *args: str) -> str:
    """Return what the installed command prints."""
    command = [COMMAND, "-c", str(longwire.config), *args]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=60, check=True, cwd=longwire.folder
    )
    return done.stdout
