"""Limits of a child, and scenario G4: what is over one is replaced, planned and without loss."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.longwire import Longwire, Settings, about_templates, dingtalk, lark
from harness.simulator import Simulator
from harness.waiting import stays, until
from longwire import Event
from longwire_connectors.simulator.fault_kinds import LarkNoPong
from longwire_connectors.simulator.injections import DingTalkEvent, LarkEvent

PLUGINS = str(Path(__file__).parent.parent / "plugins")
APP = "cli_00000000000000aa"
LIMIT_MB = 96
TIME_SCALE = 15.0
"""What a link that ends takes along comes again after 1 s instead of 15."""
LATER = 50
"""Messages that come after a replacement."""


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    async with await Simulator.start(tmp_path, time_scale=TIME_SCALE) as client:
        yield client
    await client.program.stop()


async def start(longwire: Longwire, account: Settings, **settings: Any) -> dict[str, Any]:
    """Start one account; return its status as soon as it is online."""
    longwire.configure({"bot": {**account, **settings}})
    await longwire.start(env={"PYTHONPATH": PLUGINS})
    return await longwire.until_state("bot", "online")


async def take(longwire: Longwire, what: str) -> None:
    params = {"chat": "c", "text": what}
    await longwire.client.call("message.create", params, account="bot", deadline_s=20)


async def until_replaced(longwire: Longwire, before: dict[str, Any]) -> dict[str, Any]:
    """Wait until a new process is online and the old one gone; return its account's status."""

    async def replaced() -> dict[str, Any] | None:
        account = await longwire.account("bot")
        is_new = account["state"] == "online" and account["pid"] != before["pid"]
        return account if is_new and not psutil.pid_exists(before["pid"]) else None

    return await until(replaced, what="a new process is online, the old one gone")


@asynccontextmanager
async def traffic(simulator: Simulator) -> AsyncIterator[Callable[[], int]]:
    """Have messages come in, numbered from 0, and yield what tells how many; `LATER` more after the block."""
    count, is_over = 0, asyncio.Event()

    async def write() -> None:
        nonlocal count
        while not is_over.is_set():
            await simulator.inject_lark(LarkEvent(app=APP, text=f"{count}"))
            count += 1

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write(), name="traffic")
        yield lambda: count
        before = count

        async def came_later() -> bool:
            return count >= before + LATER

        await until(came_later, what="some more came")
        is_over.set()


async def journal(longwire: Longwire, *types: str, until_n: int) -> list[Event]:
    """Return the first so many events of these types, from the beginning."""
    found: list[Event] = []
    async with asyncio.timeout(60):
        async for event in longwire.client.subscribe(start="all", types=list(types)):
            found.append(event)
            if len(found) >= until_n:
                return found
    raise AssertionError("the subscription ended")


async def all_of_it(longwire: Longwire, count: int) -> None:
    """Assert that the messages 0 to `count` - 1 are there, each once."""
    events = await journal(longwire, "message.created", until_n=count)
    assert sorted(int(event.text or "") for event in events) == list(range(count))
    assert [event.seq for event in events] == sorted({event.seq for event in events})
    account = await longwire.account("bot")
    assert account["events"] == count, "nothing was stored twice"


async def states(longwire: Longwire, count: int) -> list[str]:
    """Return the first so many states of the account, after one another."""
    return [event.raw["state"] for event in await journal(longwire, "account.status", until_n=count)]


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
    assert account["limits"] == {"memory_mb": 256, "cpu_percent": 0.0, "open_files": 333, "nice": 15}


async def test_no_child_may_take_more_than_its_supervisor(longwire: Longwire) -> None:
    account = await start(longwire, {"connector": "loopback"}, max_open_files=1_048_576)
    _, most = psutil.Process(longwire.program.pid).rlimit(psutil.RLIMIT_NOFILE)
    assert limits_of(account["pid"])[1] == (min(most, 1_048_576),) * 2


@pytest.mark.parametrize("isolation", ["fork", "spawn"])
async def test_g4_a_lark_child_over_its_memory_has_a_successor_before_it_goes(
    simulator: Simulator, longwire: Longwire, isolation: str
) -> None:
    """Planned, and without loss: the successor is online first.

    Alone: by its code, it grows until the kernel kills it; the server sees 1006.
    """
    account = lark(simulator.url, APP, connector="leaky-lark", isolation=isolation, memory_limit_mb=LIMIT_MB)
    before = await start(longwire, account)
    async with traffic(simulator) as count:
        await take(longwire, f"leak {LIMIT_MB}")
        after = await until_replaced(longwire, before)
    await all_of_it(longwire, count())
    assert (after["incarnation"], after["restarts"]) == (before["incarnation"] + 1, 1)
    assert await states(longwire, 4) == ["starting", "connecting", "online", "online"]
    old, new = (await simulator.app_state("lark", APP)).connections
    assert old.closed_at is not None
    assert new.opened_at < old.closed_at
    assert (old.closed_by, old.close_code) == ("client", 1000)
    assert (await simulator.app_state("lark", APP)).connections_max_open == 2
    assert new.frames_out > 0


@pytest.mark.parametrize("isolation", ["fork", "spawn"])
async def test_g4_without_overlap_a_child_over_its_memory_drains_and_goes_first(
    simulator: Simulator, longwire: Longwire, isolation: str
) -> None:
    """Where two connections are not allowed, the old one ends first.

    Alone: by its code, it grows until the kernel kills it; the server sees 1006.
    """
    account = lark(simulator.url, APP, connector="lone-lark", isolation=isolation, memory_limit_mb=LIMIT_MB)
    before = await start(longwire, account)
    async with traffic(simulator) as count:
        await take(longwire, f"leak {LIMIT_MB}")
        await until_replaced(longwire, before)
    await all_of_it(longwire, count())
    assert await states(longwire, 7) == [
        *("starting", "connecting", "online"),
        *("stopping", "starting", "connecting", "online"),
    ]


@about_templates
async def test_g4_a_lark_child_whose_limit_is_too_low_is_replaced_once_and_the_operator_is_told(
    simulator: Simulator, longwire: Longwire
) -> None:
    """Nothing but the real SDK: of a single child everything counts, and that is over the least limit.

    Alone: by its code, it grows until the kernel kills it; the server sees 1006.
    """
    before = await start(longwire, lark(simulator.url, APP), memory_limit_mb=16)
    async with traffic(simulator) as count:
        after = await until_replaced(longwire, before)

    async def told() -> dict[str, Any] | None:
        account = await longwire.account("bot")
        return account if account["user_action"] else None

    account = await until(told, what="its status says what to do")
    assert (account["state"], account["pid"]) == ("online", after["pid"])
    assert "16 are allowed" in account["message"]
    assert "memory_limit_mb" in account["user_action"]
    await all_of_it(longwire, count())
    assert len(longwire.log_events("limit_not_kept")) == 1
    assert (await longwire.account("bot"))["restarts"] == 1
    app = await simulator.app_state("lark", APP)
    assert (app.connections_total, app.connections_max_open) == (2, 2)


@pytest.mark.timeout(240)
async def test_g4_a_dingtalk_child_over_its_memory_never_has_two_links_and_waits_for_no_backoff(
    simulator: Simulator, longwire: Longwire
) -> None:
    """On DingTalk, which allows one connection.

    Alone: by its code, it grows until the kernel kills it; the server sees 1006.
    """
    account = dingtalk(simulator.url, "ding", connector="leaky-dingtalk", memory_limit_mb=LIMIT_MB)
    before = await start(longwire, account)
    await simulator.inject_dingtalk(DingTalkEvent(app="ding", kind="event", count=100, rate_per_s=20))
    await take(longwire, f"leak {LIMIT_MB}")
    after = await until_replaced(longwire, before)
    assert (after["attempt"], after["restarts"]) == (0, 1)
    app = await simulator.app_state("dingtalk", "ding")
    assert (app.connections_total, app.connections_max_open) == (2, 1)
    old, new = app.connections
    assert (old.closed_by, old.close_code) == ("client", 1000)
    assert old.closed_at is not None
    assert old.closed_at <= new.opened_at
    assert new.opened_at - old.closed_at < 5, "DingTalk's backoff is 10 s and more"

    async def all_acked() -> bool:
        return (await simulator.app_state("dingtalk", "ding")).acked == 100

    # One that was read and not answered any more is repeated after a minute.
    await until(all_acked, what="every event is stored and answered", deadline_s=120)
    assert (await longwire.account("bot"))["events"] == 100


async def test_g4_a_child_that_leaves_no_room_for_two_goes_first(
    simulator: Simulator, longwire: Longwire
) -> None:
    """One that took twice its limit is not waited for.

    Alone: by its code, it grows until the kernel kills it; the server sees 1006.
    """
    account = lark(simulator.url, APP, connector="leaky-lark", memory_limit_mb=LIMIT_MB)
    before = await start(longwire, account)
    await take(longwire, f"leak {2 * LIMIT_MB} unseen {longwire.program.pid}")
    await until_replaced(longwire, before)
    assert (await simulator.app_state("lark", APP)).connections_max_open == 1


async def test_a_spinning_child_whose_heartbeats_go_on_is_replaced_for_its_cpu(
    simulator: Simulator, longwire: Longwire
) -> None:
    account = lark(simulator.url, APP, connector="leaky-lark", cpu_limit_percent=10, cpu_window_s=4)
    before = await start(longwire, account)
    await take(longwire, "spin")
    await until_replaced(longwire, before)
    (line,) = longwire.log_events("account_recycles")
    assert line["reason"] == "cpu_limit"
    assert not longwire.log_events("child_hung")
    assert await states(longwire, 4) == ["starting", "connecting", "online", "online"]


async def a_successor_that_gets_no_link(simulator: Simulator, longwire: Longwire) -> dict[str, Any]:
    """Return the status of an account whose successor's platform does not answer."""
    account = lark(simulator.url, APP, connector="leaky-lark", memory_limit_mb=LIMIT_MB, link_timeout_s=8.0)
    before = await start(longwire, account)
    (own,) = (await simulator.app_state("lark", APP)).connections
    assert own.closed_at is None
    await simulator.fault(LarkNoPong(platform="lark"))
    await take(longwire, f"leak {LIMIT_MB}")

    async def two() -> bool:
        return (await simulator.app_state("lark", APP)).connections_open == 2

    await until(two, what="the successor's socket is open")
    return before


async def test_a_stop_with_a_successor_on_its_way_leaves_nothing(
    simulator: Simulator, longwire: Longwire
) -> None:
    await a_successor_that_gets_no_link(simulator, longwire)
    await longwire.client.call("account.stop", account="bot")
    await longwire.until_state("bot", "stopped")

    async def nothing() -> bool:
        return (await simulator.app_state("lark", APP)).connections_open == 0

    await until(nothing, what="both links are closed", deadline_s=5)
    await stays(nothing, what="no link", for_s=1.5)
    await simulator.clear_faults()
    await longwire.client.call("account.start", account="bot")
    await longwire.until_online()


async def test_a_child_that_dies_with_a_successor_on_its_way_is_replaced_by_a_third(
    simulator: Simulator, longwire: Longwire
) -> None:
    before = await a_successor_that_gets_no_link(simulator, longwire)
    psutil.Process(before["pid"]).kill()

    async def noticed() -> bool:
        return bool(longwire.log_events("child_exited"))

    await until(noticed, what="its death is noticed")
    await simulator.clear_faults()
    after = await until_replaced(longwire, before)
    assert after["incarnation"] > before["incarnation"] + 1
    assert (await simulator.app_state("lark", APP)).connections_open == 1
    assert (await simulator.app_state("lark", APP)).connections_max_open == 2


async def test_a_successor_that_gets_no_link_is_given_up_and_the_account_stays_online(
    simulator: Simulator, longwire: Longwire
) -> None:
    """Its child was looked at twice by then, so its status has what it takes, too."""
    before = await a_successor_that_gets_no_link(simulator, longwire)

    async def given_up() -> bool:
        return bool(longwire.log_events("successor_failed"))

    await until(given_up, what="the successor is given up")

    async def one() -> bool:
        return (await simulator.app_state("lark", APP)).connections_open == 1

    await until(one, what="the successor's link is closed")

    async def told() -> dict[str, Any] | None:
        account = await longwire.account("bot")
        return account if account["message"] else None

    account = await until(told, what="its status says so")
    assert "its successor failed: " in account["message"]
    assert (account["pid"], account["state"]) == (before["pid"], "online")

    async def looked_at() -> dict[str, Any] | None:
        account = await longwire.account("bot")
        return account if account["cpu_percent"] is not None and account["pss_bytes"] else None

    account = await until(looked_at, what="its child was looked at twice")
    assert LIMIT_MB < account["pss_bytes"] / 2**20 <= account["rss_bytes"] / 2**20 < 256
    assert 0 <= account["cpu_percent"] < 100


async def test_a_command_under_way_is_answered_before_its_child_goes(
    simulator: Simulator, longwire: Longwire
) -> None:
    before = await start(
        longwire, lark(simulator.url, APP, connector="leaky-lark"), stop_timeout_s=20.0
    )  # a quarter of half of it is for what is under way
    slow = asyncio.create_task(take(longwire, "wait 0.5"))

    async def under_way() -> bool:
        return not slow.done()

    await stays(under_way, what="the command is under way", for_s=0.2)
    await longwire.client.call("account.restart", account="bot")
    await slow
    await until_replaced(longwire, before)
