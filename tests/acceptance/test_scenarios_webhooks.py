"""Webhooks whose targets are slow, dead or refuse: rows F1 to F6, by the installed command."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import pytest

from harness.hanging import HANGING, hang, many, until_all_do_well
from harness.longwire import Longwire
from harness.neighbours import TROUBLES, TYPES, crowd
from harness.targets.behaviour import Answer, Silent
from harness.targets.client import Targets
from harness.waiting import until
from harness.webhooks import add, courier, event_of, until_target, webhook
from longwire import CommandError
from longwire_protocol.errors import RetCode

FAILURES, OPEN_S = 5, 5.0
"""After so many the breaker opens, for so long: 30 s unless `breaker_open_s` says otherwise."""

PERMITS = 256
"""Posts under way at once, in all."""
CONCURRENCY = 8
QUEUE = 64
"""Events that the courier may have of a target with the default settings and not post."""
WATCHED_S = 15.0
LATE_S = 5.0
"""What hangs takes 30 s, of a post. How much targets really notice of others is measured in `benchmarks`, as
other tests run beside these."""
ANSWER_S = 5.0
STOP_S = 10.0
MISSED = 2.0
"""A heartbeat is missed when the last one is older than so many intervals."""


def source(count: int, *, chats: int = 10, **more: Any) -> dict[str, Any]:
    """Return an account that makes so many events as fast as they are stored."""
    loopback = {"connector": "loopback", "tenant": "acme", "rate_per_s": 1_000_000.0}
    return {**loopback, "count": count, "chats": chats, **more}


async def have(longwire: Longwire, account: str, count: int) -> None:
    """Wait until so many events are stored."""

    async def stored() -> bool:
        return bool((await longwire.account(account))["events"] >= count)

    await until(stored, what=f"{count} events of {account} are stored")


async def trial(longwire: Longwire, name: str) -> CommandError | None:
    """Ask for a trial post; return what refused it."""
    try:
        await longwire.client.call("webhook.test", {"webhook": name})
    except CommandError as error:
        return error
    return None


@pytest.mark.timeout(300)
async def test_f1_ninety_seven_targets_do_not_notice_three_bad_ones(
    longwire: Longwire, targets: Targets
) -> None:
    """A black hole, a byte a second, resets.

    Alone: a handler that posts with requests to a hundred targets, one after the other: of 30 events in a
    minute none was acked and none reached a good target behind the bad ones; without those all 30.
    """
    them = await crowd(longwire, targets, rate_per_s=4.0)
    for trouble in TROUBLES:
        await them.trouble(trouble)
        assert max(await them.lap(8.0)) < LATE_S * 1000
        await them.relief(trouble)


@pytest.mark.timeout(180)
async def test_f2_a_target_that_fails_is_left_alone_but_for_one_probe_each_thirty_seconds(
    longwire: Longwire, targets: Targets
) -> None:
    """Five failures, silence, one probe that fails, another that does not; half a minute is scaled to 5 s.

    Alone: 40 events were 40 posts at once to a target that answers 500, all acked and none tried again.
    """
    events = 40
    table = webhook(await targets.open("crm", Answer(500)), types=TYPES, breaker_open_s=OPEN_S)
    longwire.configure({"source": source(events, chats=events)}, webhooks={"crm": table})
    await longwire.start()
    await have(longwire, "source", events)
    status = await until_target(longwire, "crm", state="resting")
    assert (status["breaker"], status["failed"] >= FAILURES) == ("open", True)
    first = await targets.arrivals("crm")
    assert FAILURES <= len(first) <= 2 * table.get("concurrency", 8)
    await targets.until_arrived("crm", len(first) + 1)
    await targets.behave("crm", Answer())
    arrivals = await targets.until_arrived("crm", len(first) + 1 + events)
    opened_at, (probe, second, *_) = first[-1].at, arrivals[len(first) :]
    assert OPEN_S - 1 <= probe.at - opened_at <= OPEN_S + 5
    assert OPEN_S - 1 <= second.at - probe.at <= OPEN_S + 5
    await until_target(longwire, "crm", state="delivering", breaker="closed", lag=0, delivered=events)
    taken = [event_of(arrival).id for arrival in arrivals if arrival.status == 200]
    assert len(set(taken)) == len(taken) == events


async def test_f3_targets_that_wait_to_try_again_hold_no_permit(longwire: Longwire, targets: Targets) -> None:
    """More failures than there are permits, all waiting for their backoff, and one that is not held up.

    Alone: by its code, nothing is tried again; a handler that waits to do so holds up the connection's own
    loop.
    """
    failing = 60
    tables = {
        f"bad{n}": webhook(await targets.open(f"bad{n}", Answer(503)), types=TYPES) for n in range(failing)
    }
    longwire.configure({"source": source(20, chats=20)}, webhooks=tables)
    await longwire.start()

    async def have_failed() -> bool:
        tallies = await targets.tallies()
        return all(tallies[name].arrivals >= FAILURES for name in tables)

    await until(have_failed, what="each has failed more than once")

    async def none_held() -> bool:
        return bool((await courier(longwire))["in_flight"] == 0)

    await until(none_held, what="no permit is held")
    assert sum(it.arrivals for it in (await targets.tallies()).values()) > 256
    await add(longwire, "good", webhook(await targets.open("good"), types=TYPES))
    longwire.configure({"other": source(1)}, webhooks=tables)
    longwire.program.send(signal.SIGHUP)
    (arrival,) = await targets.until_arrived("good", 1)
    assert arrival.at - event_of(arrival).recv_time < LATE_S


async def test_f4_when_every_permit_is_taken_whoever_asks_is_told_and_queues_stay_bounded(
    longwire: Longwire, targets: Targets
) -> None:
    """Targets that all hang at once, and thousands of events behind them; a trial post, a good target.

    Alone: by its code, there is no bound: each handler makes a connection of its own, and nobody is told to
    come later.
    """
    tables = await many(targets)
    stream = {"connector": "loopback", "tenant": "acme", "rate_per_s": 100.0, "chats": 1_000}
    longwire.configure({"source": stream}, webhooks=tables)
    await longwire.start(log_level="info")
    await until_all_do_well(targets)
    await hang(longwire, targets, tables)

    async def is_full() -> bool:
        found = await courier(longwire)
        assert found["in_flight"] <= PERMITS
        return bool(found["in_flight"] >= PERMITS // 2 + HANGING and found["waiting"] > 0)

    await until(is_full, what="all that targets which hang may hold is held")
    await add(longwire, "good", webhook(await targets.open("good"), types=TYPES))
    begun = time.monotonic()
    refusal = await trial(longwire, "good")
    assert time.monotonic() - begun < ANSWER_S
    if refusal is not None:
        assert (refusal.retcode, refusal.retryable) == (RetCode.SATURATED, True)
        assert refusal.retry_after_ms
    for arrival in (await targets.until_arrived("good", 200))[1:]:
        assert arrival.at - event_of(arrival).recv_time < LATE_S
    for status in await longwire.client.call("webhook.list"):
        assert status["queued"] <= QUEUE, status
        assert status["in_flight"] <= CONCURRENCY, status


async def test_f5_sixty_four_hanging_targets_slow_neither_loop_nor_heartbeat(
    longwire: Longwire, targets: Targets
) -> None:
    """Each has as many posts under way as it may; supervisor and courier answer as before.

    Alone: one target that said nothing: 1 post, no ping and no ack in 28 s, where there should have been 28
    pings.
    """
    tables = await many(targets)
    busy = {"connector": "loopback", "tenant": "acme", "rate_per_s": 20.0, "chats": 200}
    longwire.configure({f"bot{n}": busy for n in range(4)}, webhooks=tables)
    await longwire.start(log_level="info")
    await until_all_do_well(targets)
    await add(longwire, "good", webhook(await targets.open("good"), types=TYPES, accounts=["bot0"]))
    await hang(longwire, targets, tables)
    end = time.monotonic() + WATCHED_S
    while time.monotonic() < end:
        asked = time.monotonic()
        status = await longwire.status()
        assert time.monotonic() - asked < LATE_S
        assert status["courier"]["in_flight"] >= HANGING
        assert status["courier"]["loop_lag_p99_ms"] < LATE_S * 1000
        assert all(account["liveness"]["loop"]["age_s"] < MISSED for account in status["accounts"])
        await asyncio.sleep(0.1)
    assert all(account["restarts"] == 0 for account in (await longwire.status())["accounts"])
    arrivals = await targets.arrivals("good")
    assert len(arrivals) > WATCHED_S * busy["rate_per_s"] / 2
    assert max(arrival.at - event_of(arrival).recv_time for arrival in arrivals) < LATE_S


@pytest.mark.parametrize("is_frozen", [False, True])
async def test_f6_shutdown_with_hanging_targets_is_short_and_loses_nothing(
    longwire: Longwire, targets: Targets, *, is_frozen: bool
) -> None:
    """SIGTERM while 64 targets hang, also with a courier that is stopped; the next supervisor delivers all.

    Alone: SIGTERM ended it after 20 ms: 3 of 10 posted, the third of them torn off, and 2 acked.
    """
    events = 20
    tables = await many(targets, Silent())
    longwire.configure({"source": source(events)}, webhooks=tables)
    await longwire.start()
    await have(longwire, "source", events)
    longwire.configure({}, webhooks=tables)  # for the next one: nothing more is made

    async def all_hang() -> bool:
        return all(tally.arrivals >= 1 for tally in (await targets.tallies()).values())

    await until(all_hang, what="each target has a post that hangs")
    if is_frozen:
        os.kill((await courier(longwire))["pid"], signal.SIGSTOP)
    code, took_s = await longwire.stop()
    assert (code, took_s < STOP_S) == (0, True), took_s

    async def all_closed() -> bool:
        return all(tally.open == 0 for tally in (await targets.tallies()).values())

    await until(all_closed, what="every connection is closed", deadline_s=5)
    for name in tables:
        await targets.behave(name, Answer())
    await longwire.start()
    for name in tables:

        async def has_all(name: str = name) -> bool:
            arrivals = await targets.arrivals(name)
            return len({event_of(it).id for it in arrivals if it.status == 200}) == events

        await until(has_all, what=f"{name} has every event")
