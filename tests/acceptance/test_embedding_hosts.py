"""Hosts that fork, are killed, leave without a stop, or stand still for long: real processes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import psutil
import pytest

from harness.longwire import FORBIDDEN
from harness.processes import Program
from harness.waiting import DEADLINE_S, until
from longwire import Supervisor

TESTS = Path(__file__).parents[1]


async def start(name: str, *arguments: str, folder: Path) -> Program:
    command = [sys.executable, "-m", f"hosts.{name}", *arguments]
    env = {"PYTHONPATH": str(TESTS)}
    return await Program.start(command, output=folder / f"{name}.log", env=env, cwd=folder)


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_a_killed_host_with_two_supervisors_leaves_only_the_fork_it_made(tmp_path: Path) -> None:
    """The fork keeps no child of the host's alive, uses nothing of it, and has a supervisor of its own."""
    folders = [str(tmp_path / name) for name in ("one", "other", "own")]
    host = await start("forking", *folders, folder=tmp_path)

    async def have_said() -> list[dict[str, object]] | None:
        assert host.returncode is None, host.text()
        lines = [line for line in host.text().splitlines() if line.startswith("{")]
        return [json.loads(line) for line in lines] if len(lines) == 2 else None

    said = {str(each["who"]): each for each in await until(have_said, what="host and fork have said it")}
    fork = psutil.Process(int(str(said["fork"]["pid"])))
    try:
        refused = ["SupervisorUnreachable"] * 4
        assert said["fork"]["refused"] == refused, "the client connects anew, and nobody is there"
        assert said["host"]["answer"] == 1
        theirs, own = (list(map(int, said[who]["children"])) for who in ("host", "fork"))  # type: ignore[call-overload]
        assert (len(theirs), len(own)) == (2, 1)
        host.send(9)
        await host.ended()

        async def are_gone() -> bool:
            return not any(map(is_alive, theirs))

        await until(are_gone, what="the host's children are gone")
        assert all(map(is_alive, own)), "the fork's child is its own"
        for folder in folders[:2]:  # nobody holds a lock
            accounts = {"acme": {"connector": "loopback"}, "beta": {"connector": "loopback"}}
            async with Supervisor({"supervisor": {"data_dir": folder}, "accounts": accounts}) as again:
                assert (await again.converged(timeout_s=DEADLINE_S)).is_converged
    finally:
        fork.kill()

    async def is_all_gone() -> bool:
        return not any(map(is_alive, own))

    await until(is_all_gone, what="the fork's child is gone with it")


@pytest.mark.parametrize("python", ["with-hook", "no-hook"])
async def test_a_host_that_just_leaves_ends_and_leaves_nothing(tmp_path: Path, python: str) -> None:
    """While a pool's thread and one of its own wait for events, which Python would join for ever."""
    host = await start("leaving", str(tmp_path / "var"), python, folder=tmp_path)

    async def is_leaving() -> bool:
        assert host.returncode is None or "leaving" in host.text(), host.text()
        return "leaving" in host.text()

    await until(is_leaving, what="it leaves")
    assert await host.ended(deadline_s=DEADLINE_S) == 0, host.text()
    assert not [text for text in FORBIDDEN if text in host.text()], host.text()
    if python == "with-hook":
        assert "Traceback" not in host.text()
        assert host.text().rstrip().endswith("supervisor_stopped")
        assert "text='the process ended with exit code 0'" in host.text(), "its child was asked to stop"

    async def is_nothing_left() -> bool:
        return not [each for each in psutil.process_iter() if _is_of(each, tmp_path)]

    await until(is_nothing_left, what="no process is left")


async def test_a_host_whose_log_blocks_or_raises_holds_up_no_account(tmp_path: Path) -> None:
    host = await start("logging_badly", str(tmp_path / "var"), folder=tmp_path)
    assert await host.ended(deadline_s=2 * DEADLINE_S) == 0, host.text()
    said = json.loads(host.text())
    assert said["is_held"]
    for how in ("blocked", "choked"):
        assert said[how]["is_sent"]
        assert said[how]["is_kept"], "for `longwire logs`"
        assert said[how]["took_s"] < DEADLINE_S / 2


def _is_of(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.pid != os.getpid() and process.cwd() == str(folder)
    except psutil.Error:
        return False
