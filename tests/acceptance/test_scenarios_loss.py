"""Scenarios E: loss and duplicates, by their ids. E1 is in `tests/chaos`."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from harness.longwire import Longwire, dingtalk, lark
from harness.scenario import everything
from harness.simulator import Simulator
from harness.waiting import stays, until
from longwire_connectors.handover import MAX_EVENTS
from longwire_connectors.simulator.deliveries import DeliveryRecord, Phase
from longwire_connectors.simulator.fault_kinds import AckLost
from longwire_connectors.simulator.injections import DingTalkEvent, LarkEvent
from longwire_connectors.simulator.timings import Timings

LARK_A, LARK_B, DING_A, DING_B = "cli_00000000000000aa", "cli_00000000000000bb", "dinga", "dingb"
SLOW_DISK = Path(__file__).parent.parent / "plugins" / "slow_disk"

TIME_SCALE = 7200.0
"""15 s, 5 min, 1 h and 6 h become 2 ms, 42 ms, 0.5 s and 3 s, after the 3 s in which an ack is awaited."""

HELD_S = 3.0
"""How long is looked that nothing more happens while nothing can be committed."""

PUSHED = 50
"""Events of each kind that come from the platforms meanwhile."""

FLOOD_PER_S = 3_000

GROWTH_BYTES = 64 * 1024 * 1024
"""What may wait for the disk, in bytes of bodies: `JournalSettings.max_waiting_bytes`."""


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    async with await Simulator.start(tmp_path, time_scale=TIME_SCALE) as client:
        yield client
    await client.program.stop()


# E2: commit delayed.


@asynccontextmanager
async def lock_of_another_process(longwire: Longwire) -> AsyncIterator[None]:
    await longwire.start()
    await longwire.until_online()
    journal = longwire.folder / "var" / "journal.sqlite3"
    with closing(sqlite3.connect(journal, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        yield


@asynccontextmanager
async def disk_that_hangs(longwire: Longwire) -> AsyncIterator[None]:
    flag = longwire.folder / "hangs"
    await longwire.start(env={"PYTHONPATH": str(SLOW_DISK), "SLOW_DISK": str(flag)})
    await longwire.until_online()
    flag.touch()
    yield
    flag.unlink()


@pytest.mark.parametrize(
    ("nothing_can_be_committed", "reason"),
    [(lock_of_another_process, "database is locked"), (disk_that_hangs, "a commit takes longer than")],
)
async def test_e2_while_nothing_can_be_committed_no_ack_leaves_and_afterwards_nothing_is_missing(
    simulator: Simulator,
    longwire: Longwire,
    nothing_can_be_committed: Callable[[Longwire], AbstractAsyncContextManager[None]],
    reason: str,
) -> None:
    """A disk that hangs, in several ways: no ack, told in status, and all there afterwards.

    Alone: by its code, nothing is stored, and the ack leaves as soon as the handler returns.
    """
    accounts = {
        "lark": lark(simulator.url, LARK_A),
        "ding": dingtalk(simulator.url, DING_A),
        "flood": {"connector": "loopback", "rate_per_s": FLOOD_PER_S, "ids": "sequential"},
    }
    longwire.configure(accounts, defaults={"heartbeat_interval_s": 0.2})
    async with nothing_can_be_committed(longwire):
        before = await longwire.status()
        acks_before = await acks(simulator)
        await simulator.inject_lark(LarkEvent(app=LARK_A, count=PUSHED, has_fresh_event_ids=True))
        await simulator.inject_dingtalk(DingTalkEvent(app=DING_A, count=PUSHED))
        await simulator.inject_dingtalk(DingTalkEvent(app=DING_A, count=PUSHED, kind="event"))

        async def all_windows_are_full() -> bool:
            held = {a["account"]: a["unstored"] for a in (await longwire.status())["accounts"]}
            pushed_again = (await simulator.app_state("lark", LARK_A)).redeliveries
            return held["flood"] == MAX_EVENTS and held["ding"] >= 2 * PUSHED and pushed_again >= PUSHED

        await until(all_windows_are_full, what="the children hold what they may")

        async def bounded_and_said() -> bool:
            status = await longwire.status()
            supervisor = status["supervisor"]
            grown = supervisor["rss_bytes"] - before["supervisor"]["rss_bytes"]
            assert (supervisor["state"], reason in supervisor["reason"]) == ("degraded", True)
            assert max(account["unstored"] for account in status["accounts"]) <= MAX_EVENTS
            assert grown < GROWTH_BYTES, grown
            return await acks(simulator) == acks_before

        await stays(bounded_and_said, what="no ack leaves", for_s=HELD_S)

    async def all_is_well_and_acked() -> bool:
        supervisor = (await longwire.status())["supervisor"]
        records = [*await simulator.deliveries("lark"), *await simulator.deliveries("dingtalk")]
        pushed = [record for record in records if record.kind == "event" or record.app == LARK_A]
        return supervisor["state"] == "ok" and all(record.phase is Phase.ACKED for record in pushed)

    await until(all_is_well_and_acked, what="all that a platform pushes again is acked")
    after = {account["account"]: account for account in (await longwire.status())["accounts"]}
    for account in before["accounts"]:
        now = after[account["account"]]
        assert (now["pid"], now["restarts"], now["state"]) == (account["pid"], 0, "online")
    await longwire.client.call("account.stop", account="flood")
    await longwire.until_state("flood", "stopped")
    events = await everything(longwire)
    count = Counter(event.account for event in events)
    assert (count["lark"], count["ding"]) == (PUSHED, 2 * PUSHED)
    assert count["flood"] >= MAX_EVENTS
    numbers = [int((event.text or "").rstrip(".")) for event in events if event.account == "flood"]
    assert numbers == list(range(1, count["flood"] + 1))


async def acks(simulator: Simulator) -> int:
    state = await simulator.state()
    return sum(app.acks for app in (*state.lark.values(), *state.dingtalk.values()))


# E3: redelivery over hours.


async def test_e3_redeliveries_after_15_s_5_min_1_h_and_6_h_are_recognised_also_by_the_next_supervisor(
    simulator: Simulator, longwire: Longwire
) -> None:
    """The platforms' whole ladders, scaled, with new event ids and over a restart.

    Alone: the handler was called twice for one message id.
    """
    longwire.configure({"lark": lark(simulator.url, LARK_A), "ding": dingtalk(simulator.url, DING_A)})
    await longwire.start()
    await longwire.until_online()
    await simulator.fault(AckLost(platform="lark"))
    await simulator.fault(AckLost(platform="dingtalk"))
    await simulator.inject_lark(LarkEvent(app=LARK_A, has_fresh_event_ids=True))
    await simulator.inject_dingtalk(DingTalkEvent(app=DING_A, kind="event"))

    async def stored() -> bool:
        return (await simulator.app_state("lark", LARK_A)).ack_outcomes.get("lost", 0) == 1

    async def pushed(count: int) -> bool:
        return len((await simulator.deliveries("lark"))[0].sent_at) >= count

    await until(stored, what="the first delivery was acked, in vain")
    await longwire.kill()
    await longwire.start()
    await until(lambda: pushed(3), what="it came after 15 s and 5 min")
    await longwire.stop()
    await longwire.start()
    await until(lambda: pushed(5), what="it came after 1 h and 6 h")

    async def given_up() -> DeliveryRecord | None:
        (record,) = await simulator.deliveries("lark")
        return record if record.phase is Phase.EXHAUSTED else None

    record = await until(given_up, what="Lark gives up")
    waits = [later - earlier for earlier, later in pairwise(record.sent_at)]
    ladder = Timings().scaled(TIME_SCALE).lark_ladder_s
    assert all(wait >= step for wait, step in zip(waits, ladder, strict=True))
    assert (await simulator.app_state("lark", LARK_A)).ack_outcomes["lost"] > 1  # what is known is acked, too
    await simulator.clear_faults()

    async def acked() -> DeliveryRecord | None:
        (record,) = await simulator.deliveries("dingtalk")
        return record if record.phase is Phase.ACKED else None

    assert len((await until(acked, what="DingTalk's repetition is acked")).sent_at) > 2
    assert Counter(event.account for event in await everything(longwire)) == {"lark": 1, "ding": 1}
    for account in (await longwire.status())["accounts"]:
        assert account["duplicates"] >= 1


async def test_e3_after_its_window_a_redelivery_is_an_event_again(
    simulator: Simulator, longwire: Longwire
) -> None:
    """What is older than the window is not recognised any more.

    Alone: the handler was called twice for one message id.
    """
    accounts = {
        "lark": lark(simulator.url, LARK_A),
        "flood": {"connector": "loopback", "rate_per_s": 30_000, "ids": "sequential"},
    }
    longwire.configure(accounts, dedup_window_s=1.0)
    await longwire.start()
    await longwire.until_online()
    (ids,) = await simulator.inject_lark(LarkEvent(app=LARK_A))

    async def stored(count: int) -> bool:
        return bool((await longwire.account("lark"))["events"] >= count)

    await until(lambda: stored(1), what="it is stored")

    async def stored_again() -> bool:
        await simulator.redeliver("lark", app=LARK_A, identity=ids.message_id)
        return await stored(2)

    # Keys go in runs of 65,536, when the youngest of a run is older than the window: hence the flood.
    await until(stored_again, what="its key is forgotten")
    subscription = longwire.client.subscribe(start="all", accounts=["lark"], types=["message.created"])
    first, second = await anext(subscription), await anext(subscription)
    assert (first.message_id, first.dedup_key) == (second.message_id, second.dedup_key)
    assert first.id != second.id
    assert (await longwire.account("lark"))["duplicates"] >= 1


# E7: one message in two accounts.


async def test_e7_the_same_message_id_in_two_accounts_is_two_events(
    simulator: Simulator, longwire: Longwire
) -> None:
    """What is recognised as a redelivery is an account's own.

    Alone: one process for each account, so two events.
    """
    accounts: dict[str, dict[str, Any]] = {
        "lark-a": lark(simulator.url, LARK_A),
        "lark-b": lark(simulator.url, LARK_B),
        "ding-a": dingtalk(simulator.url, DING_A),
        "ding-b": dingtalk(simulator.url, DING_B),
    }
    longwire.configure(accounts)
    await longwire.start()
    await longwire.until_online()
    for app in (LARK_A, LARK_B):
        await simulator.inject_lark(LarkEvent(app=app, message_id="om_same", event_id="same"))
    for app in (DING_A, DING_B):
        await simulator.inject_dingtalk(DingTalkEvent(app=app, message_id="msgsame=="))

    async def acked() -> bool:
        return await acks(simulator) == len(accounts)

    await until(acked, what="all are stored")
    for app in (LARK_A, LARK_B):
        assert await simulator.redeliver("lark", app=app, identity="om_same") == 1

    async def acked_again() -> bool:
        return await acks(simulator) == len(accounts) + 2

    await until(acked_again, what="two came again")
    events = await everything(longwire)
    assert {event.account: event.message_id for event in events} == {
        "lark-a": "om_same",
        "lark-b": "om_same",
        "ding-a": "msgsame==",
        "ding-b": "msgsame==",
    }
    assert len(events) == len(accounts)
    assert len({event.id for event in events}) == len({event.seq for event in events}) == len(accounts)
