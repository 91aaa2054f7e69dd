"""Scenarios of liveness, by their ids: what is dead is noticed and told, what is alive is let be."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from harness.longwire import Longwire, dingtalk, lark
from harness.processes import COMMAND, is_alive
from harness.scenario import SLACK_S
from harness.simulator import Simulator
from harness.waiting import stays, until
from longwire import CommandError
from longwire_connectors.simulator.fault_kinds import LarkDiscoveryStatus
from longwire_connectors.simulator.injections import LarkEvent

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


# B: connected but dead.

LINK_TIMEOUT_S = 2.0
LARK, DING = "cli_00000000000000aa", "ding00000000000000bb"


async def start_both(longwire: Longwire, simulator: Simulator, **settings: Any) -> None:
    """Start an account of each platform; a lost link is tried again soon."""
    quick: dict[str, Any] = {"backoff_initial_s": 0.2, "backoff_max_s": 0.5, "link_timeout_s": LINK_TIMEOUT_S}
    longwire.configure(
        {"lark": lark(simulator.url, LARK), "ding": dingtalk(simulator.url, DING)},
        defaults={"heartbeat_interval_s": 0.2, "heartbeat_timeout_s": 1.5, **quick, **settings},
    )


@asynccontextmanager
async def frozen(pid: int) -> AsyncIterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("name", ["lark", "ding"])
async def test_b2_a_frozen_server_is_noticed_within_the_link_timeout(
    simulator: Simulator, longwire: Longwire, name: str
) -> None:
    """The TCP connection stays open, and nobody answers on it any more.

    Alone: both SDKs notice after 50 s by their library's own ping, and then wait in a discovery that has no
    timeout, for ever: deaf, without an error, also when the server is back.
    """
    await start_both(longwire, simulator)
    await longwire.start()
    await longwire.until_online()
    async with frozen(simulator.program.pid):
        begun = time.monotonic()
        account = await longwire.until_state(name, "connecting", "backoff", "degraded")
        assert time.monotonic() - begun < LINK_TIMEOUT_S + SLACK_S
        account = await longwire.until_state(name, "backoff", "connecting")
        assert account["restarts"] == 0
    await longwire.until_online()


class Poller:
    """Asks for the status all the time, and looks whether it may be believed."""

    def __init__(self, longwire: Longwire, *, link_timeout_s: float) -> None:
        self._longwire = longwire
        self._link_timeout_s = link_timeout_s
        self.reasons: set[str | None] = set()
        self.states: set[str] = set()

    async def look(self) -> None:
        asked_at = time.time()
        for account in (await self._longwire.status())["accounts"]:
            self.states.add(account["state"])
            self.reasons.add(account["reason"])
            layers = account["liveness"]
            if account["state"] == "online":
                assert account["last_proof_at"] >= asked_at - self._link_timeout_s - CLOCKS_S, account
                assert layers["socket"]["age_s"] <= layers["socket"]["limit_s"], account
                assert False not in {layer["is_ok"] for layer in layers.values()}, account
            if account["state"] == "backoff":
                assert account["next_retry_at"] is not None
                assert account["attempt"] >= 1
                assert account["message"]
            assert "secret-of-" not in repr(account)

    async def poll(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(0.02)


CLOCKS_S = 0.05
"""What two clocks that are read one after the other may differ by."""


@asynccontextmanager
async def polled(longwire: Longwire, *, link_timeout_s: float) -> AsyncIterator[Poller]:
    poller = Poller(longwire, link_timeout_s=link_timeout_s)
    async with asyncio.TaskGroup() as tasks:
        polling = tasks.create_task(poller.poll())
        yield poller
        polling.cancel()


async def test_b6_status_is_never_online_on_a_proof_that_is_too_old(
    simulator: Simulator, longwire: Longwire
) -> None:
    """Asked all the time, through a frozen server, a lost link, a frozen child and a frozen supervisor.

    Alone: there is no status.
    """
    await start_both(longwire, simulator, heartbeat_timeout_s=20.0)
    await longwire.start()
    await longwire.until_online()
    async with polled(longwire, link_timeout_s=LINK_TIMEOUT_S) as poller:
        async with frozen(simulator.program.pid):
            await longwire.until_state("lark", "backoff")
            await longwire.until_state("ding", "backoff")
        await longwire.until_online()
        down = await simulator.fault(LarkDiscoveryStatus(platform="lark", status=500))
        await simulator.drop("lark", app=LARK, how="abort")
        await longwire.until_state("lark", "backoff")
        await simulator.clear_faults(down)
        await longwire.until_online()
        for name in ("lark", "ding"):  # long before its heartbeats count as missing
            async with frozen((await longwire.account(name))["pid"]):
                account = await longwire.until_state(name, "degraded")
                assert account["reason"] == "proof_too_old"
            await longwire.until_online()
        async with frozen(longwire.program.pid):
            await asyncio.sleep(2 * LINK_TIMEOUT_S)
        await longwire.until_online()
    assert {"online", "backoff", "degraded"} <= poller.states
    assert all(account["restarts"] == 0 for account in (await longwire.status())["accounts"])


async def test_b6_what_is_known_of_an_account_is_shown_readably(
    simulator: Simulator, longwire: Longwire
) -> None:
    """What is known of an account is shown readably.

    Alone: there is no status.
    """
    await start_both(longwire, simulator)
    await longwire.start()
    await longwire.until_online()

    async def every_layer() -> str | None:
        """Lark's own answer shows with the heartbeat after it."""
        shown = await by_command(longwire, "accounts", "show", "lark")
        layers = ("process", "loop", "socket", "subscription")
        return shown if all(re.search(rf"liveness: {layer} +ok, ", shown) for layer in layers) else None

    shown = await until(every_layer, what="every layer is proven")
    assert re.search(r"phase +(idle|working)", shown)
    assert re.search(
        r"liveness: subscription +nothing to prove", await by_command(longwire, "accounts", "show", "ding")
    )


# D6 and G8: healthy, and let be.


async def nothing_is_restarted(longwire: Longwire, before: dict[str, Any]) -> bool:
    now = await longwire.status()
    return [a["pid"] for a in now["accounts"]] == [a["pid"] for a in before["accounts"]]


async def test_d6_no_child_is_killed_for_a_supervisor_that_was_stopped(
    simulator: Simulator, longwire: Longwire
) -> None:
    """Stopped for several heartbeat timeouts; the long form is a soak test.

    Alone: by its code, a bot in a stopped process is silent as long: nothing is read, no ping is sent and
    nothing is acked. There is no supervisor.
    """
    await start_both(longwire, simulator)
    await longwire.start()
    await longwire.until_online()
    before = await longwire.status()
    async with frozen(longwire.program.pid):
        await asyncio.sleep(5)
    await Poller(longwire, link_timeout_s=LINK_TIMEOUT_S).look()
    await stays(lambda: nothing_is_restarted(longwire, before), what="the children are the same", for_s=2.5)
    assert longwire.log_events("child_hung") == longwire.log_events("link_in_doubt") == []
    for platform, app in (("lark", LARK), ("dingtalk", DING)):
        assert len((await simulator.app_state(platform, app)).connections) == 1


async def test_g8_a_clock_that_steps_by_hours_restarts_nothing(
    simulator: Simulator, longwire: Longwire
) -> None:
    """In the supervisor and in its children, forwards and then backwards.

    Alone: not measured; the SDKs' waits count the loop's monotonic time.
    """
    await start_both(longwire, simulator)
    step = longwire.folder / "clock_step"
    env = {"PYTHONPATH": str(PLUGINS / "stepping_clock"), "TMPDIR": str(longwire.folder)}
    await longwire.start(env=env)
    await longwire.until_online()
    before = await longwire.status()
    for hours in (6, -6):
        step.write_text(str(hours * 3600))

        async def has_stepped(hours: int = hours) -> bool:
            proof_at = (await longwire.account("lark"))["last_proof_at"]
            return abs(proof_at - time.time() - hours * 3600) < 60

        await until(has_stepped, what="the supervisor's clock has stepped")
        await stays(lambda: nothing_is_restarted(longwire, before), what="nothing restarts", for_s=3)
        subscription = longwire.client.subscribe(start="new", types=["message.created"])
        await subscription.open()
        await simulator.inject_lark(LarkEvent(app=LARK))
        async with asyncio.timeout(20):
            event = await anext(subscription)
        assert abs(event.recv_time - time.time() - hours * 3600) < 60, "the child's clock has stepped, too"
        await event.ack()
    for platform, app in (("lark", LARK), ("dingtalk", DING)):
        assert len((await simulator.app_state(platform, app)).connections) == 1
    assert await longwire.client.call("incident.list") == []


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
    """Of a stopped process the incident says so.

    Alone: 45 s stopped: nobody closed the connection, and the log had not a word of it.
    """
    before = await start_misbehaving(longwire)
    os.kill(before["pid"], signal.SIGSTOP)
    incident = await incident_of(longwire, "bad")
    assert incident["findings"]["condition"] == "stopped"
    assert incident["liveness"]["process"]["is_ok"] is False

    async def is_killed() -> bool:
        return not is_alive(before["pid"])

    await until(is_killed, what="it is killed")


async def test_g5_a_start_that_hangs_in_its_import_is_found_and_says_where(longwire: Longwire) -> None:
    """A start that hangs in its import is found and says where.

    Alone: 45 s stopped: nobody closed the connection, and the log had not a word of it.
    """
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
    """A crash leaves its last words without secrets and outlives the supervisor.

    Alone: 45 s stopped: nobody closed the connection, and the log had not a word of it.
    """
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
    with pytest.raises(CommandError, match="no account 'good'"):
        await longwire.client.call("incident.list", {"account": "good"})


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
