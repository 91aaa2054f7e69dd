"""A supervisor in this very process: what it is asked for, from wherever, and what becomes of it."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.longwire import FORBIDDEN
from harness.processes import Program
from harness.waiting import DEADLINE_S, until
from longwire import CommandError, ConfigError, LongwireError, Supervisor, SupervisorUnreachable
from longwire_protocol.errors import AlreadyRunning

SECRET = "s3cret-of-the-vault"
LOOPBACK = {"connector": "loopback", "echo": True}


def lark_account(secret: str) -> dict[str, Any]:
    """Return one whose platform is not there: nobody listens on this port."""
    return {"connector": "lark", "app_id": "cli_v", "app_secret": secret, "domain": "http://127.0.0.1:9"}


def config(folder: Path, **accounts: Any) -> dict[str, Any]:
    return {"supervisor": {"data_dir": str(folder / "var")}, "accounts": accounts}


@pytest.fixture(name="supervisor")
async def supervisor_fixture(tmp_path: Path) -> AsyncIterator[Supervisor]:
    async with Supervisor(config(tmp_path, acme=LOOPBACK)) as supervisor:
        assert (await supervisor.converged(timeout_s=DEADLINE_S)).is_converged
        yield supervisor


async def pids(supervisor: Supervisor) -> dict[str, int]:
    return {each["account"]: each["pid"] for each in (await supervisor.status())["accounts"]}


async def test_only_what_differs_is_touched_and_the_rest_is_told(supervisor: Supervisor) -> None:
    before = await pids(supervisor)
    applied = await supervisor.apply({"beta": LOOPBACK, "acme": LOOPBACK})
    assert (applied.added, applied.changed, applied.removed) == (["beta"], [], [])
    assert applied.unchanged == ["acme"]
    assert (await supervisor.converged(timeout_s=DEADLINE_S)).is_converged
    applied = await supervisor.apply({"acme": LOOPBACK, "beta": {**LOOPBACK, "chats": 2}})
    assert (applied.changed, applied.unchanged) == (["beta"], ["acme"])
    applied = await supervisor.apply({"acme": LOOPBACK})
    assert applied.removed == ["beta"]
    found = await supervisor.converged(timeout_s=DEADLINE_S)
    assert found.accounts.keys() == {"acme"}
    assert await pids(supervisor) == before


async def test_a_mistake_changes_nothing_and_has_its_place(supervisor: Supervisor) -> None:
    before = await pids(supervisor)
    with pytest.raises(ConfigError) as caught:
        await supervisor.apply({"beta": {**LOOPBACK, "chats": 0}, "gamma": {"connector": "none"}})
    assert {problem.place for problem in caught.value.problems} == {
        "accounts.beta.chats",
        "accounts.gamma.connector",
    }
    with pytest.raises(ConfigError, match="secrets for no such account"):
        supervisor.apply({}, secrets={"beta": {"app_secret": "x"}})
    with pytest.raises(ConfigError, match="in the account and in its secrets"):
        supervisor.apply({"beta": lark_account("x")}, secrets={"beta": {"app_secret": "y"}})
    assert await pids(supervisor) == before


async def test_who_is_not_online_says_why(supervisor: Supervisor) -> None:
    await supervisor.apply({"acme": LOOPBACK, "deaf": lark_account("s3cret-for-deaf")})

    async def is_known() -> Any:
        found = await supervisor.converged(timeout_s=0)
        return found if found.behind["deaf"].reason else None

    found = await until(is_known, what="the reason is known")
    assert not found.is_converged
    assert found.behind.keys() == {"deaf"}
    assert found.behind["deaf"].state in {"backoff", "connecting"}


async def test_accounts_come_change_and_go_one_by_one(supervisor: Supervisor) -> None:
    assert (await supervisor.add("beta", LOOPBACK))["added"] == ["beta"]
    assert (await supervisor.update("beta", {"chats": 3}))["changed"] == ["beta"]
    with pytest.raises(CommandError):
        await supervisor.add("beta", LOOPBACK)
    assert (await supervisor.remove("beta"))["removed"] == ["beta"]
    assert (await supervisor.apply({"acme": LOOPBACK})).unchanged == ["acme"]


async def test_a_secret_of_the_vault_reaches_the_child_and_nothing_else(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def vault(name: str) -> str:
        asked.append((name, threading.current_thread().name))
        if name == "gone":
            raise LookupError("no such entry")
        return f"{SECRET}-{name}"

    account = lark_account("vault:acme")
    async with Supervisor(config(tmp_path, acme=account), secrets={"vault": vault}) as supervisor:
        assert asked == [("acme", "longwire vault")]
        with pytest.raises(ConfigError) as caught:
            await supervisor.apply({"acme": lark_account("vault:gone")})
        (problem,) = caught.value.problems
        assert problem.place == "accounts.acme.app_secret"
        assert problem.message == "the host's vault failed: LookupError: no such entry"
        assert (await supervisor.apply({"acme": account})).unchanged == ["acme"], "it goes on as it was"
        rotated = await supervisor.apply({"acme": lark_account("vault:rotated")})
        assert rotated.changed == ["acme"]

        async def has_a_process() -> bool:
            (each,) = (await supervisor.status())["accounts"]
            return each["pid"] is not None and each["last_error"] is not None

        await until(has_a_process, what="it has tried")
        shown = str(await supervisor.status()) + str(await supervisor.call("logs.tail"))
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                shown += str(child.cmdline()) + str(child.environ())
    for path in (tmp_path / "var").rglob("*"):
        shown += path.read_bytes().decode(errors="replace") if path.is_file() else ""
    assert "accounts_applied" in shown
    assert SECRET not in shown


async def test_a_blocked_host_is_told_of_changes_later_and_holds_up_nobody(supervisor: Supervisor) -> None:
    changes: list[tuple[Any, ...]] = []
    told = asyncio.Event()

    def on_loop(*change: Any) -> None:
        assert threading.current_thread() is threading.main_thread()
        changes.append(change)
        if change[2] == "online":
            told.set()
        raise ValueError("a host's mistake")

    aside: list[str] = []
    supervisor.on_state(on_loop)

    def on_thread(*_: Any) -> None:
        aside.append(threading.current_thread().name)

    remove = await asyncio.to_thread(supervisor.on_state, on_thread)
    (pid,) = (await pids(supervisor)).values()
    psutil.Process(pid).kill()
    end = time.monotonic() + DEADLINE_S
    while supervisor.call("account.get", account="acme").result()["restarts"] == 0:
        assert time.monotonic() < end, "the core goes on while this loop does not"
        time.sleep(0.01)  # noqa: ASYNC251  # which is the point
    assert changes == []
    async with asyncio.timeout(DEADLINE_S):
        await told.wait()
    assert [change[0] for change in changes] == ["acme"] * len(changes)
    assert all(one[2] == other[1] for one, other in pairwise(changes))
    remove()
    assert set(aside) == {"longwire hook"}
    with pytest.raises(TypeError):
        supervisor.on_state(asyncio.sleep)  # type: ignore[arg-type]


async def test_a_reader_that_stands_still_loses_nothing_and_holds_up_nobody(supervisor: Supervisor) -> None:
    count = 1_000
    slow = supervisor.client().subscribe("slow", start="all", types=["message.created"], credit=count)
    await slow.open()
    for n in range(count // 50):
        sent = [supervisor.call("message.create", _text(n * 50 + i), account="acme") for i in range(50)]
        for each in sent:
            each.result()  # this loop, which reads, stands still
    seen: list[int] = []
    async with asyncio.timeout(DEADLINE_S):
        async for event in slow:
            seen.append(int(event.text or "-1"))
            await event.ack()
            if len(set(seen)) == count:
                break
    assert sorted(set(seen)) == list(range(count))


def _text(n: int) -> dict[str, str]:
    return {"chat": "c", "text": str(n)}


async def test_a_second_client_of_a_name_shares_it_and_one_that_leaves_hands_over(
    supervisor: Supervisor,
) -> None:
    names = {"name": "shared", "start": "all", "types": ["message.created"]}
    async with supervisor.client() as one, supervisor.client() as other:
        first, second = one.subscribe(**names), other.subscribe(**names)
        await first.open()
        await second.open()
        await one.send("acme", "c", "1")
        takers = [asyncio.ensure_future(anext(each)) for each in (first, second)]
        async with asyncio.timeout(DEADLINE_S):
            done, waiting = await asyncio.wait(takers, return_when=asyncio.FIRST_COMPLETED)
        (taker,) = done
        assert taker.result().text == "1"
        leaving = one if taker is takers[0] else other
        await leaving.__aexit__(None, None, None)
        async with asyncio.timeout(DEADLINE_S):
            assert (await waiting.pop()).text == "1", "unacked, so it comes again"
        with pytest.raises(SupervisorUnreachable):
            await leaving.call("status")


async def test_clients_learn_that_the_supervisor_has_ended(tmp_path: Path) -> None:
    supervisor = Supervisor(config(tmp_path, acme=LOOPBACK))
    with pytest.raises(SupervisorUnreachable):
        supervisor.status()
    supervisor.start()
    async with supervisor.client() as client:
        subscription = client.subscribe("reader", types=["message.created"])
        await subscription.open()
        reading = asyncio.ensure_future(anext(subscription))
        await asyncio.to_thread(supervisor.stop)
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(SupervisorUnreachable):
                await reading
            with pytest.raises(SupervisorUnreachable):
                await client.call("status")
    assert not supervisor.is_running
    supervisor.start()
    assert supervisor.converged(timeout_s=DEADLINE_S).result().is_converged, "it can be started again"
    supervisor.stop()


async def test_what_cannot_be_started_says_why_and_leaves_nothing(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    with pytest.raises(AlreadyRunning):
        Supervisor(config(tmp_path)).start()
    wrong = Supervisor({"supervisor": {"data_dir": str(tmp_path / "other")}, "accounts": {"a": {}}})
    with pytest.raises(ConfigError):
        wrong.start()
    with pytest.raises(ConfigError):
        async with wrong:
            pass
    with pytest.raises(AlreadyRunning, match="runs already"):
        supervisor.start()

    async def is_alone() -> bool:
        return [thread.name for thread in threading.enumerate()].count("longwire") == 1

    await until(is_alone, what="no other core has a thread")


async def test_a_fork_has_no_supervisor_and_is_told_so(supervisor: Supervisor) -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = "nothing"
        try:
            supervisor.stop()
            supervisor.status()
        except LongwireError as exc:
            said = f"{type(exc).__name__} {supervisor.is_running}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)

    async def is_over() -> bool:
        return os.waitpid(pid, os.WNOHANG)[0] == pid  # noqa: ASYNC222  # it does not wait

    await until(is_over, what="the fork has ended")
    with os.fdopen(reader) as said_by_fork:
        assert said_by_fork.read() == "SupervisorUnreachable False"
    assert await supervisor.call("message.create", _text(1), account="acme")


FORGETFUL = """
import logging, sys
logging.basicConfig(level="INFO", stream=sys.stdout)
from longwire import Supervisor
accounts = {"a": {"connector": "loopback"}}
supervisor = Supervisor({"supervisor": {"data_dir": sys.argv[1]}, "accounts": accounts})
supervisor.start()
assert supervisor.converged(timeout_s=60).result().is_converged
supervisor.call("status")  # of which nobody wants to know
"""


async def test_a_host_that_forgets_to_stop_ends_all_the_same_and_in_order(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORGETFUL, str(tmp_path / "var")]
    program = await Program.start(command, output=tmp_path / "host.log")
    assert await program.ended(deadline_s=2 * DEADLINE_S) == 0, program.text()
    said = program.text()
    assert "text='the process ended with exit code 0'" in said, "its child was asked to stop"
    assert said.rstrip().endswith("supervisor_stopped")
    assert not [text for text in FORBIDDEN if text in said]
