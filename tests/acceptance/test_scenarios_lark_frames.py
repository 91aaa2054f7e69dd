"""Scenarios A7, A8, A9 and B3: what Lark's frames may carry, by their ids."""

from __future__ import annotations

import os
import time
from typing import Any, NamedTuple

import pytest

from harness.longwire import Longwire, lark
from harness.scenario import everything
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.counters import AppState
from longwire_connectors.simulator.deliveries import DeliveryRecord, Phase
from longwire_connectors.simulator.fault_kinds import LarkClientConfig, LarkPongConfig
from longwire_connectors.simulator.injections import LarkEvent

APP = "cli_00000000000000aa"
KEYS = ["ReconnectCount", "ReconnectInterval", "ReconnectNonce", "PingInterval"]
GOOD: dict[str, Any] = {"values": {"PingInterval": 1}}
BAD: dict[str, dict[str, Any]] = {
    "zero": {"values": dict.fromkeys(KEYS, 0)},
    "negative": {"values": dict.fromkeys(KEYS, -1)},
    "small": {"values": dict.fromkeys(KEYS, 1e-9)},
    "huge": {"values": dict.fromkeys(KEYS, 10**18)},
    "text": {"values": dict.fromkeys(KEYS, "soon")},
    "null": {"values": dict.fromkeys(KEYS, None)},
    "missing": {"missing": KEYS},
}
RARELY = "huge-in-pong"
"""Its interval is clamped to ten minutes, so one ping is all it sends here."""


async def test_a7_impossible_timings_are_clamped_and_the_pings_go_on_and_are_no_storm(
    simulator: Simulator, longwire: Longwire
) -> None:
    """Each impossible value in discovery and in pongs, an account each; pings are counted at the platform.

    Alone: PingInterval 0 and -1 made 22,977 and 30,499 pings in 5 s; a text or nothing ended the ping loop
    after one ping.
    """
    apps = {f"{name}-in-{place}": f"cli_{name}_{place}" for name in BAD for place in ("discovery", "pong")}
    for name, bad in BAD.items():
        places = (("discovery", bad, GOOD), ("pong", GOOD, bad))
        for place, at_discovery, in_pongs in places:
            app = f"cli_{name}_{place}"
            await simulator.fault(LarkClientConfig(platform="lark", app=app, **at_discovery))
            await simulator.fault(LarkPongConfig(platform="lark", app=app, **in_pongs))
    apps["empty-in-pong"] = "cli_empty"
    await simulator.fault(LarkClientConfig(platform="lark", app="cli_empty", **GOOD))
    await simulator.fault(LarkPongConfig(platform="lark", app="cli_empty", is_empty=True))
    longwire.configure({name: lark(simulator.url, app) for name, app in apps.items()})
    await longwire.start()
    await longwire.until_online()

    async def all_ping() -> bool:
        state = await simulator.state()
        return all(state.lark[app].pongs >= 4 or name == RARELY for name, app in apps.items())

    await until(all_ping, what="every ping loop is alive")
    now, state = time.time(), await simulator.state()
    for name, app in apps.items():
        (connection,) = state.lark[app].connections
        assert connection.pings <= now - connection.opened_at + 2, name
        account = await longwire.account(name)
        assert (account["state"], account["restarts"]) == ("online", 0), name
    assert state.lark[apps[RARELY]].pings == 1
    await simulator.drop("lark", how="abort")

    async def all_back() -> bool:
        state = await simulator.state()
        return all(state.lark[app].connections_total == 2 for app in apps.values())

    await until(all_back, what="every account reconnects")
    await longwire.until_online()


class Kind(NamedTuple):
    """An event in pieces, and how often the platform shall hear of it, with which code."""

    event: LarkEvent
    acks: int = 1
    code: int | None = 200


PARTS = {
    "one": Kind(LarkEvent(app=APP)),
    "two": Kind(LarkEvent(app=APP, parts=2)),
    "two-reversed": Kind(LarkEvent(app=APP, parts=2, part_order=[1, 0])),
    "twenty-reversed": Kind(LarkEvent(app=APP, parts=20, part_order=list(range(19, -1, -1)))),
    "a-part-twice": Kind(LarkEvent(app=APP, parts=3, part_order=[0, 1, 0, 1, 2])),
    "a-part-too-much": Kind(LarkEvent(app=APP, parts=2, part_order=[0, 2, 7, 1])),
    "sum-of-zero": Kind(LarkEvent(app=APP, declared_sum=0)),
    "half-of-it": Kind(LarkEvent(app=APP, parts=2, part_order=[1], declared_sum=1), code=500),
    "missing": Kind(LarkEvent(app=APP, parts=3, missing_part=1), acks=0, code=None),
    "only-impossible": Kind(LarkEvent(app=APP, parts=2, part_order=[2, 3]), acks=0, code=None),
}


async def test_a8_an_event_in_parts_is_one_event_or_a_clean_drop_also_when_it_comes_again_at_once(
    simulator: Simulator, longwire: Longwire
) -> None:
    """Parts in any order, doubled, missing or impossible, all of them delivered twice within seconds.

    Alone: 20 parts delivered again after a second called the handler 20 times more and were acked 20 times; a
    missing part was dropped.
    """
    longwire.configure({"bot": lark(simulator.url, APP)})
    await longwire.start()
    await longwire.until_online()
    for name, (event, _, _) in PARTS.items():
        event.message_id, event.frame_message_id, event.is_redelivered = f"om_{name}", f"frame-{name}", False
        await simulator.inject_lark(event)

    async def acked(times: int) -> bool:
        records = await _records(simulator)
        return all(records[name].ack_count == times * kind.acks for name, kind in PARTS.items())

    await until(lambda: acked(1), what="everything is acked as often as it should be")
    for name in PARTS:
        await simulator.redeliver("lark", app=APP, identity=f"om_{name}")
    await until(lambda: acked(2), what="every redelivery, too")
    records = await _records(simulator)
    whole = [name for name, kind in PARTS.items() if kind.code == 200]
    for name, kind in PARTS.items():
        assert records[name].ack_code in {kind.code, None}, name
        assert (records[name].phase is Phase.ACKED) == (name in whole), name
    # What was incomplete comes whole in the end, as the platform's ladder would have it.
    again = LarkEvent(app=APP, parts=3, message_id="om_missing", frame_message_id="frame-missing")
    await simulator.inject_lark(again)

    async def counted() -> bool:
        account = await longwire.account("bot")
        counters = account["counters"]
        are_stored = (account["events"], account["duplicates"]) == (len(whole) + 1, len(whole))
        # Impossible parts and halves of an event, each of them twice.
        return are_stored and counters.get("malformed_frame") == 8 and counters.get("malformed_event") == 2

    await until(counted, what="all of it is in the journal")
    found = sorted(event.message_id for event in await everything(longwire))
    assert found == sorted(f"om_{name}" for name in [*whole, "missing"])
    assert (await _state(simulator)).acks == 2 * sum(kind.acks for kind in PARTS.values()) + 1
    restarts = (await longwire.account("bot"))["restarts"]
    assert (restarts, (await _state(simulator)).connections_total) == (0, 1)


async def _records(simulator: Simulator) -> dict[str, DeliveryRecord]:
    """Return what became of each kind's first injection."""
    found: dict[str, DeliveryRecord] = {}
    for record in await simulator.deliveries("lark", app=APP):
        found.setdefault(record.message_id.removeprefix("om_"), record)
    return found


@pytest.mark.parametrize("parts", [1, 100], ids=["in one frame", "in parts"])
async def test_a9_an_event_of_4_mib_arrives_and_the_link_stays(
    simulator: Simulator, longwire: Longwire, parts: int
) -> None:
    """In one frame and in parts, with all of its text.

    Alone: the connection was closed with 1009 at each delivery, three times in 40 s; the event never arrived.
    """
    longwire.configure({"bot": lark(simulator.url, APP)})
    await longwire.start()
    await longwire.until_online()
    text = "四" * (4 * 2**20 // 3)
    await simulator.inject_lark(LarkEvent(app=APP, text=text, parts=parts, is_redelivered=False))
    await until(lambda: _is_acked(simulator), what="it is acked")
    (event,) = await everything(longwire)
    assert event.text == text
    state = await _state(simulator)
    assert (state.connections_total, state.connections_open) == (1, 1)


async def test_a9_an_event_over_every_limit_is_refused_counted_and_told_and_the_account_comes_back(
    simulator: Simulator, longwire: Longwire
) -> None:
    """Over 8 MiB there is an end: the reason is in the log and in the counters, and the next event arrives.

    Alone: the connection was closed with 1009 at each delivery, three times in 40 s; the event never arrived.
    """
    longwire.configure({"bot": lark(simulator.url, APP)})
    await longwire.start()
    await longwire.until_online()
    await simulator.inject_lark(LarkEvent(app=APP, text="x" * (9 * 2**20), is_redelivered=False))

    async def lost() -> dict[str, Any] | None:
        lines = longwire.log_events("account_state")
        return next((line for line in lines if line.get("reason") == "frame_too_large"), None)

    await until(lost, what="the log names the reason")
    await longwire.until_online()

    async def counted() -> bool:
        return bool((await longwire.account("bot"))["counters"].get("frame_too_large") == 1)

    await until(counted, what="it is counted")
    await simulator.inject_lark(LarkEvent(app=APP, text="small", is_redelivered=False))
    await until(lambda: _is_acked(simulator), what="the next event is acked")
    assert [event.text for event in await everything(longwire)] == ["small"]
    assert (await longwire.account("bot"))["restarts"] == 0


async def _state(simulator: Simulator) -> AppState:
    return await simulator.app_state("lark", APP)


async def _is_acked(simulator: Simulator) -> bool:
    return (await _state(simulator)).acked == 1


IDLE_PINGS = int(os.environ.get("LONGWIRE_SOAK_S", "960"))
"""24 h of the platform's pings, 90 s apart; here one a second."""


@pytest.mark.parametrize(
    "pings",
    [
        pytest.param(6, id="some"),
        pytest.param(IDLE_PINGS, id="24 h of them", marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
    ],
)
async def test_b3_an_idle_link_with_pongs_is_left_alone(
    simulator: Simulator, longwire: Longwire, pings: int
) -> None:
    """No restart, no reconnect, no other state, for as many pongs as 24 h have.

    Alone: the same: 120 pongs in 120 s, one connection.
    """
    await simulator.fault(LarkClientConfig(platform="lark", **GOOD))
    await simulator.fault(LarkPongConfig(platform="lark", **GOOD))
    apps = {"bot": APP, "strict": "cli_00000000000000bb"}
    accounts = {name: lark(simulator.url, app, heartbeat_timeout_s=3.0) for name, app in apps.items()}
    accounts["strict"]["link_timeout_s"] = 3.0  # the WebSocket's own pings are then as frequent as Lark's
    longwire.configure(accounts)
    await longwire.start()
    await longwire.until_online()
    since = {name: (await longwire.account(name))["since"] for name in apps}

    async def left_alone() -> bool:
        states = {name: await simulator.app_state("lark", app) for name, app in apps.items()}
        for name, state in states.items():
            account = await longwire.account(name)
            seen = account["state"], account["restarts"], state.connections_total
            assert seen == ("online", 0, 1), (account, state)
            assert account["since"] - since[name] < 1
        return all(state.pongs >= pings for state in states.values())

    await until(left_alone, what=f"{pings} pongs", deadline_s=pings * 3 + 40, every_s=0.2)
