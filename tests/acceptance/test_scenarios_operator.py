"""Scenarios G: host and operator, by their ids."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.longwire import Longwire, dingtalk, lark
from harness.processes import is_alive
from harness.scenario import SLACK_S
from harness.simulator import Simulator
from harness.waiting import stays, until
from longwire import CommandError

PLUGINS = str(Path(__file__).parent.parent / "plugins")


async def test_g1_nothing_outlives_a_killed_supervisor_and_the_next_one_connects_each_account_once(
    simulator: Simulator, longwire: Longwire
) -> None:
    """Stopped, wedged and deaf processes among them; no connection is left, and none is doubled.

    Alone: 10 s after SIGKILL of the program that had started it the bot was online; after another start there
    were two connections.
    """
    apps = {f"lark-{n}": f"cli_{n:016x}" for n in range(4)}
    accounts = {name: lark(simulator.url, app) for name, app in apps.items()}
    accounts["lark-0"]["isolation"] = "spawn"
    accounts["ding"] = dingtalk(simulator.url, "ding")
    accounts |= {name: {"connector": "misbehaving"} for name in ("wedged", "deaf")}
    longwire.configure(accounts)
    await longwire.start(env={"PYTHONPATH": PLUGINS})
    await longwire.until_online()
    for name, how in (("wedged", "wedge"), ("deaf", "ignore sigterm")):
        params = {"chat": "c", "text": how}
        with pytest.raises(CommandError):
            await longwire.client.call("message.create", params, account=name, deadline_s=0.2)
    processes = longwire.program.descendants()
    for name in ("lark-0", "lark-1", "ding"):
        os.kill((await longwire.account(name))["pid"], signal.SIGSTOP)
    templates = [process for process in processes if "template" in process.name()]
    for template in templates[:1]:
        template.suspend()
    await longwire.kill()
    await until(lambda: _are_gone(processes), what="no process is left", deadline_s=0.1 + 2 * SLACK_S)
    await until(lambda: _is_unconnected(simulator), what="no connection is left", deadline_s=2 * SLACK_S)
    await longwire.start(env={"PYTHONPATH": PLUGINS})
    await longwire.until_online()
    state = await simulator.state()
    seen = [state.lark[app] for app in apps.values()] + [state.dingtalk["ding"]]
    assert [(app.connections_total, app.connections_max_open) for app in seen] == [(2, 1)] * 5


async def test_g1_a_fork_that_an_embedding_host_made_meanwhile_keeps_nothing_alive(
    simulator: Simulator, longwire: Longwire
) -> None:
    """What ends the children belongs to the supervisor alone, whoever its host forks.

    Alone: 10 s after SIGKILL of the program that had started it the bot was online; after another start there
    were two connections.
    """
    accounts = {"forked": lark(simulator.url, "cli_forked"), "ding": dingtalk(simulator.url, "ding")}
    longwire.configure({**accounts, "spawned": lark(simulator.url, "cli_spawned", isolation="spawn")})
    await longwire.start(env={"PYTHONPATH": str(Path(PLUGINS) / "forking_host")})
    await longwire.until_online()
    ours = longwire.program.descendants()
    longwire.program.send(signal.SIGUSR1)
    fork = await until(lambda: _newcomer(longwire, ours), what="the host has forked")
    os.kill((await longwire.account("forked"))["pid"], signal.SIGSTOP)
    try:
        await longwire.kill()
        await until(lambda: _are_gone(ours), what="no process of ours is left")
        assert is_alive(fork.pid)
        async with asyncio.timeout(25):  # the fork keeps nobody out, nor a client waiting for ZeroMQ's 30 s
            await longwire.start()
        await longwire.until_online()
    finally:
        fork.kill()


async def _are_gone(processes: list[psutil.Process]) -> bool:
    return not [process.pid for process in processes if is_alive(process.pid)]


async def _is_unconnected(simulator: Simulator) -> bool:
    state = await simulator.state()
    return not [app for app in (*state.lark.values(), *state.dingtalk.values()) if app.connections_open]


async def _newcomer(longwire: Longwire, known: list[psutil.Process]) -> psutil.Process | None:
    return next((process for process in longwire.program.descendants() if process not in known), None)


@pytest.mark.timeout(300)
async def test_g2_a_hundred_online_accounts_close_cleanly_before_honcho_would_kill(
    simulator: Simulator, longwire: Longwire
) -> None:
    """Every server sees a close frame with 1000, within 5 s, and the exit code is 0.

    Alone: twenty processes took 31.8 s to come online and 160.8 MB each; SIGTERM ended 20 of 20 without a
    close frame.
    """
    accounts = {f"lark-{n}": lark(simulator.url, f"cli_{n:016x}") for n in range(50)}
    accounts |= {f"ding-{n}": dingtalk(simulator.url, f"ding{n}") for n in range(50)}
    longwire.configure(accounts)
    await longwire.start()
    await longwire.until_online(deadline_s=200)
    code, took = await longwire.stop()
    assert code == 0
    assert took < 5
    state = await simulator.state()
    apps = [*state.lark.values(), *state.dingtalk.values()]
    assert len(apps) == 100
    for app in apps:
        (connection,) = app.connections
        assert (connection.closed_by, connection.close_code) == ("client", 1000)


async def test_g3_a_hangup_that_removes_every_account_leaves_a_supervisor_that_runs(
    longwire: Longwire,
) -> None:
    """An empty fleet is one that can be added to.

    Alone: there is no configuration; a change means to end the program with all its connections.
    """
    longwire.configure({f"a{n}": {"connector": "loopback"} for n in range(6)})
    await longwire.start()
    await longwire.until_online()
    longwire.configure({})
    longwire.program.send(signal.SIGHUP)

    async def empty() -> bool:
        return (await longwire.status())["accounts"] == []

    await until(empty, what="no account is left")

    async def runs() -> bool:
        return longwire.program.returncode is None

    await stays(runs, what="the supervisor runs", for_s=2)
    longwire.configure({"again": {"connector": "loopback"}})
    longwire.program.send(signal.SIGHUP)

    async def back() -> bool:
        accounts = (await longwire.status())["accounts"]
        return [account["state"] for account in accounts] == ["online"]

    await until(back, what="a new account is online")


async def test_g3_the_accounts_are_shown_in_the_order_of_the_file_after_each_hangup(
    longwire: Longwire,
) -> None:
    """Whatever was added, removed or moved.

    Alone: there is no configuration; a change means to end the program with all its connections.
    """
    loopback = {"connector": "loopback"}
    longwire.configure(dict.fromkeys("abcd", loopback))
    await longwire.start()
    await longwire.until_online()
    for names, changed in (("xabc", "a"), ("cbax", "cb")):
        before = {name: await longwire.account(name) for name in changed}
        other = {**loopback, "size_bytes": len(changed)}
        longwire.configure({name: other if name in changed else loopback for name in names})
        longwire.program.send(signal.SIGHUP)

        async def replaced(before: dict[str, dict[str, Any]] = before) -> bool:
            found = [await longwire.account(name) for name in before]
            return all(after["pid"] not in {None, before[after["account"]]["pid"]} for after in found)

        await until(replaced, what="the changed accounts have new processes")

        async def in_order(names: str = names) -> bool:
            return "".join(a["account"] for a in (await longwire.status())["accounts"]) == names

        await until(in_order, what="the removed one is gone, the others are in order")
        listed = await longwire.client.call("account.list")
        assert [account["account"] for account in listed] == list(names)


async def test_g3_an_account_that_is_being_removed_cannot_be_started_again(longwire: Longwire) -> None:
    """A command does not bring back what the file no longer has.

    Alone: there is no configuration; a change means to end the program with all its connections.
    """
    slow = {"connector": "misbehaving", "slow_close_s": 1.5}
    longwire.configure({"slow": slow, "kept": {"connector": "loopback"}})
    await longwire.start(env={"PYTHONPATH": PLUGINS})
    await longwire.until_online()
    longwire.configure({"kept": {"connector": "loopback"}})
    longwire.program.send(signal.SIGHUP)
    await longwire.until_state("slow", "stopping")
    for method in ("account.start", "account.restart"):
        with pytest.raises(CommandError, match="taken down"):
            await longwire.client.call(method, account="slow")

    async def gone() -> bool:
        return [a["account"] for a in (await longwire.status())["accounts"]] == ["kept"]

    await until(gone, what="it is gone for good")


async def test_g2_nothing_is_started_while_the_supervisor_stops(longwire: Longwire) -> None:
    """A command or a reload that comes in between changes nothing.

    Alone: twenty processes took 31.8 s to come online and 160.8 MB each; SIGTERM ended 20 of 20 without a
    close frame.
    """
    slow = {"connector": "misbehaving", "slow_close_s": 1.5}
    longwire.configure({"slow": slow, "other": {"connector": "loopback"}})
    await longwire.start(env={"PYTHONPATH": PLUGINS})
    await longwire.until_online()
    longwire.program.send(signal.SIGTERM)
    await longwire.until_state("other", "stopped")
    with pytest.raises(CommandError, match="taken down"):
        await longwire.client.call("account.start", account="other")
    longwire.program.send(signal.SIGHUP)
    assert await longwire.program.ended(deadline_s=5) == 0


async def test_g2_a_stop_is_in_time_though_the_disk_does_not_write(longwire: Longwire) -> None:
    """The journal is locked by another program.

    Alone: twenty processes took 31.8 s to come online and 160.8 MB each; SIGTERM ended 20 of 20 without a
    close frame.
    """
    longwire.configure({"a": {"connector": "loopback"}})
    await longwire.start()
    await longwire.until_online()
    with closing(
        sqlite3.connect(longwire.folder / "var" / "journal.sqlite3", isolation_level=None)
    ) as holder:
        holder.execute("BEGIN IMMEDIATE")  # nobody else can commit now
        await longwire.client.call("account.restart", account="a")
        await longwire.until_state("a", "starting")
        await longwire.client.call("account.stop", account="a")
        await longwire.until_state("a", "stopped", deadline_s=5)
        code, took = await longwire.program.stop()
    assert code == 0
    assert took < 5
