"""Scenarios D: a supervisor inside another program, which runs as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.longwire import FORBIDDEN, dingtalk, lark
from harness.simulator import Simulator
from harness.waiting import DEADLINE_S, stays, until

TESTS = Path(__file__).parents[1]
BLOCKED_S = 6.0
"""Six times the heartbeat timeout, and three times the link's."""

QUICK = {"heartbeat_interval_s": 0.2, "heartbeat_timeout_s": 1.0, "link_timeout_s": 2.0}


class Host:
    """One of `tests/hosts`, in a folder of its own."""

    def __init__(self, process: asyncio.subprocess.Process, errors: Path) -> None:
        self.process = process
        self._errors = errors

    @classmethod
    async def start(cls, name: str, *arguments: str, folder: Path) -> Host:
        errors = folder / f"{name}.log"
        with errors.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                f"hosts.{name}",
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=file,
                env={**os.environ, "PYTHONPATH": str(TESTS)},
                cwd=folder,
                start_new_session=True,
            )
        return cls(process, errors)

    async def says(self) -> dict[str, Any]:
        """Return the next line that it prints."""
        assert self.process.stdout is not None
        async with asyncio.timeout(2 * DEADLINE_S):
            line = await self.process.stdout.readline()
        assert line, self.errors()
        said: dict[str, Any] = json.loads(line)
        return said

    def tell(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text}\n".encode())

    def errors(self) -> str:
        return self._errors.read_text(errors="replace")

    async def ends(self) -> None:
        """It ends by itself and well; nothing shows a misused loop."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        async with asyncio.timeout(DEADLINE_S):
            code = await self.process.wait()
        assert code == 0, self.errors()
        for text in FORBIDDEN:
            assert text not in self.errors(), self.errors()


LONG_S = 60.0
"""The scenario's own time: twelve times the heartbeat timeout that a configuration has by itself."""


@pytest.fixture(name="blocked")
async def blocked_fixture(simulator: Simulator, tmp_path: Path) -> AsyncIterator[Host]:
    """A host with an account of each platform, online."""
    accounts = {"lark": lark(simulator.url, "cli_embedded"), "ding": dingtalk(simulator.url, "dingembedded")}
    config = {"supervisor": {"data_dir": str(tmp_path / "var")}, "defaults": QUICK, "accounts": accounts}
    host = await Host.start("blocked", json.dumps(config), folder=tmp_path)
    yield host
    if host.process.returncode is None:
        host.process.kill()
        await host.process.wait()


async def test_t11_a_host_keeps_its_children_signals_loops_and_logging(tmp_path: Path) -> None:
    host = await Host.start("untouched", "one", "two", folder=tmp_path)
    said = await host.says()
    await host.ends()
    assert said["codes"] == [0, 7, 42, 3]
    assert said["changed"] == []
    assert said["answered"] == 4, "two supervisors, each with a child that was replaced"
    assert said["sigchld"] >= 1, "signals of children that end together are one"
    assert said["threads"] == ["MainThread"]
    assert said["children"] == []
    assert said["nested"] is False


async def test_d5_a_supervisor_starts_and_stops_wherever_a_host_is(tmp_path: Path) -> None:
    """From a sync script, inside a running loop, from another thread; by one door, and no nest_asyncio.

    Alone: inside a running loop Lark's `start` fails with «This event loop is already running», as does that
    of a second bot in one program; there is no stop.
    """
    host = await Host.start("ways_in", str(tmp_path / "var"), folder=tmp_path)
    said = await host.says()
    await host.ends()
    assert said == {"ways": ["plain", "running loop", "block", "thread", "to_thread"], "nested": False}


async def test_d6_a_host_whose_loop_is_blocked_loses_no_child(blocked: Host) -> None:
    """The loop stands still for six heartbeat timeouts and three link timeouts.

    Alone: by its code, what runs in a host runs on the host's loop or thread: while that is blocked nothing
    is read, no ping is sent and nothing is acked.
    """
    before = (await blocked.says())["before"]
    blocked.tell(str(BLOCKED_S))
    said = await blocked.says()
    await blocked.ends()
    assert said["blocked_s"] >= BLOCKED_S
    assert {each["state"] for each in before.values()} == {"online"}
    assert said["after"] == before
    assert said["changes"] == []


async def test_d6_a_host_that_is_stopped_loses_no_child(blocked: Host, simulator: Simulator) -> None:
    """The whole process, its supervisor in it, gets no CPU for six heartbeat timeouts.

    Alone: by its code, a bot in a stopped process is silent as long: nothing is read, no ping is sent and
    nothing is acked.
    """
    before = (await blocked.says())["before"]
    blocked.process.send_signal(signal.SIGSTOP)

    async def is_connected() -> bool:
        state = await simulator.state()
        return state.lark["cli_embedded"].connections_open == 1

    await stays(is_connected, what="the children's links", for_s=BLOCKED_S)
    blocked.process.send_signal(signal.SIGCONT)
    blocked.tell("0")
    said = await blocked.says()
    await blocked.ends()
    assert said["after"] == before
    assert said["changes"] == []


@pytest.mark.soak
@pytest.mark.timeout(400)
@pytest.mark.parametrize("settings", [{}, QUICK], ids=["as they are", "quick"])
async def test_d6_a_full_minute_blocked_and_another_stopped_lose_no_child(
    settings: dict[str, float], simulator: Simulator, tmp_path: Path
) -> None:
    """The host's loop, then the whole process; with the settings as they are, and with ones of a second.

    Alone: by its code, a bot on a blocked loop or in a stopped process is silent as long: nothing is read, no
    ping is sent and nothing is acked.
    """
    accounts = {"lark": lark(simulator.url, "cli_embedded"), "ding": dingtalk(simulator.url, "dingembedded")}
    config = {"supervisor": {"data_dir": str(tmp_path / "var")}, "defaults": settings, "accounts": accounts}
    host = await Host.start("blocked", json.dumps(config), folder=tmp_path)
    try:
        before = (await host.says())["before"]
        host.tell(str(LONG_S))
        assert (await host.says())["blocked_s"] >= LONG_S
        host.process.send_signal(signal.SIGSTOP)

        async def is_connected() -> bool:
            state = await simulator.state()
            links = (state.lark["cli_embedded"], state.dingtalk["dingembedded"])
            return all(link.connections_open == 1 for link in links)

        await stays(is_connected, what="the children's links", for_s=LONG_S)
        host.process.send_signal(signal.SIGCONT)
        host.tell("0")
        said = await host.says()
        await host.ends()
    finally:
        if host.process.returncode is None:
            host.process.kill()
            await host.process.wait()
    assert {each["state"] for each in before.values()} == {"online"}
    assert said["after"] == before
    assert said["changes"] == []


async def test_g1_nothing_outlives_a_host_that_is_killed(blocked: Host, simulator: Simulator) -> None:
    """The host embeds, and gets SIGKILL; no process and no connection is left.

    Alone: a bot in the host's own process dies with it; one in a process of its own, as the SDKs' loops
    demand, was online 10 s after SIGKILL of the program that had started it.
    """
    await blocked.says()
    ours = psutil.Process(blocked.process.pid).children(recursive=True)
    assert len(ours) >= 4, "two templates and two children"
    blocked.process.kill()

    async def are_gone() -> bool:
        return not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in ours)

    async def is_unconnected() -> bool:
        state = await simulator.state()
        return not (
            state.lark["cli_embedded"].connections_open or state.dingtalk["dingembedded"].connections_open
        )

    await until(are_gone, what="no process is left")
    await until(is_unconnected, what="no connection is left")
