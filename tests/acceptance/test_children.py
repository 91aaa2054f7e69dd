"""What a child's process may do to the supervisor, and what it may not see."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from harness.longwire import Longwire, lark
from harness.processes import is_alive
from harness.simulator import Simulator
from harness.waiting import until
from longwire import CommandError

PLUGINS = str(Path(__file__).parent.parent / "plugins")
TOKEN = "token-that-nobody-may-see"


async def start(longwire: Longwire, *, stop_timeout_s: float = 4.0) -> None:
    longwire.configure(
        {"bad": {"connector": "misbehaving", "token": TOKEN}, "good": {"connector": "loopback"}},
        defaults={
            "heartbeat_interval_s": 0.2,
            "heartbeat_timeout_s": 1.5,
            "backoff_initial_s": 0.1,
            "stop_timeout_s": stop_timeout_s,
        },
    )
    await longwire.start(env={"PYTHONPATH": PLUGINS, "LEAK": "from-the-supervisors-environment"})
    await longwire.until_online()


async def misbehave(longwire: Longwire, how: str, *, deadline_s: float = 0.2) -> object:
    params = {"chat": "c", "text": how}
    return await longwire.client.call("message.create", params, account="bad", deadline_s=deadline_s)


async def test_a_wedged_loop_is_noticed_by_its_missing_heartbeats_and_replaced(longwire: Longwire) -> None:
    await start(longwire)
    before = await longwire.account("bad")
    good = await longwire.account("good")
    with pytest.raises(CommandError):
        await misbehave(longwire, "wedge")
    begun = time.monotonic()

    async def replaced() -> bool:
        account = await longwire.account("bad")
        return account["state"] == "online" and account["pid"] != before["pid"]

    await until(replaced, what="a new child is online")
    assert time.monotonic() - begun < 1.5 + 5
    assert not is_alive(before["pid"])
    assert (await longwire.account("good"))["pid"] == good["pid"]
    assert [line["reason"] for line in longwire.log_events("child_hung")] == ["heartbeat_timeout"]


async def test_a_child_that_is_stopped_and_ignores_sigterm_is_gone_within_the_stop_timeout(
    longwire: Longwire,
) -> None:
    await start(longwire, stop_timeout_s=1.0)
    pid = (await longwire.account("bad"))["pid"]
    with pytest.raises(CommandError):
        await misbehave(longwire, "ignore sigterm")
    begun = time.monotonic()
    await longwire.client.call("account.stop", account="bad")
    await longwire.until_state("bad", "stopped")
    assert time.monotonic() - begun < 1.0 + 1.5
    assert not is_alive(pid)


async def test_a_flooded_log_blocks_nobody_and_is_bounded_counted_and_redacted(longwire: Longwire) -> None:
    await start(longwire)
    before = await longwire.account("bad")
    await misbehave(longwire, "flood", deadline_s=20)

    async def counted() -> bool:
        return bool(longwire.log_events("child_log_lines_dropped"))

    await misbehave(longwire, "flood", deadline_s=20)
    await longwire.client.call("account.stop", account="bad")
    await until(counted, what="dropped lines are counted")
    assert before["state"] == "online"
    assert len(longwire.log_events("output")) < 5_000
    assert TOKEN not in longwire.log()


async def test_secrets_reach_a_child_by_its_private_channel_only(longwire: Longwire) -> None:
    await start(longwire)
    seen = await misbehave(longwire, "environment", deadline_s=10)
    pid = (await longwire.account("bad"))["pid"]
    cmdline = await asyncio.to_thread(Path(f"/proc/{pid}/cmdline").read_bytes)
    environ = await asyncio.to_thread(Path(f"/proc/{pid}/environ").read_bytes)
    for place in (repr(seen), cmdline.decode(), environ.decode(), repr(await longwire.status())):
        assert TOKEN not in place
        assert "from-the-supervisors-environment" not in place


async def test_the_data_directory_and_its_sockets_are_private(
    simulator: Simulator, longwire: Longwire
) -> None:
    longwire.configure({"bot": lark(simulator.url, "cli_00000000000000aa")})
    await longwire.start()
    var = longwire.folder / "var"
    assert var.stat().st_mode & 0o777 == 0o700
    assert (var / "longwire.sock").stat().st_mode & 0o777 == 0o600
    assert (var / "journal.sqlite3").stat().st_mode & 0o777 == 0o600
    assert os.getuid() == var.stat().st_uid


async def test_an_event_too_large_for_any_frame_arrives_without_its_contents(longwire: Longwire) -> None:
    huge = {"connector": "loopback", "rate_per_s": 1.0, "count": 1, "size_bytes": 8 * 1024 * 1024}
    longwire.configure({"huge": huge})
    await longwire.start()
    await longwire.until_online()
    subscription = longwire.client.subscribe(start="all", types=["platform.raw"])
    async with asyncio.timeout(20):
        event = await anext(subscription)
    assert event.raw["omitted"] == "too_large"
    assert event.chat is not None
    account = await longwire.account("huge")
    assert (account["restarts"], account["state"]) == (0, "online")
