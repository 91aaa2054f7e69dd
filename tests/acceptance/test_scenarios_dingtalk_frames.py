"""Scenarios C3, C8 and C9 with another SDK: what DingTalk's frames may be, by their ids."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from harness.interpreters import OTHER_VERSIONS
from harness.longwire import Longwire, dingtalk
from harness.scenario import SLACK_S, everything, stop_and_look
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.counters import AppState
from longwire_connectors.simulator.deliveries import DeliveryRecord, Phase
from longwire_connectors.simulator.injections import DingTalkEvent

APP = "dingscenario"
ROBOT = "/v1.0/im/bot/messages/get"
EACH = 10
DISCONNECT: dict[str, Any] = {
    "specVersion": "1.0",
    "type": "SYSTEM",
    "headers": {"contentType": "application/json", "messageId": "bye", "topic": "disconnect"},
    "data": "{}",
}


async def app_state(simulator: Simulator) -> AppState:
    return await simulator.app_state("dingtalk", APP)


@asynccontextmanager
async def held_up(longwire: Longwire) -> AsyncIterator[None]:
    """Have the account's process find all at once what comes meanwhile."""
    pid = (await longwire.account("bot"))["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_c3_a_disconnect_is_followed_at_once_and_loses_nothing_that_was_delivered(
    simulator: Simulator, longwire: Longwire
) -> None:
    """All that came before is stored and acked, the old socket closed, then the new one opened.

    Alone: the old socket was closed after 0.02 s and the new one open after 0.05 s; what was not read by then
    was lost.
    """
    longwire.configure({"bot": dingtalk(simulator.url, APP)})
    await longwire.start()
    await longwire.until_online()
    async with held_up(longwire):
        await simulator.inject_dingtalk(DingTalkEvent(app=APP, count=EACH, text="{n}"))
        await simulator.inject_dingtalk(DingTalkEvent(app=APP, kind="event", count=EACH))
        await simulator.inject_dingtalk(DingTalkEvent(app=APP, kind="disconnect"))
        await until(lambda: _is_sent(simulator, 2 * EACH + 1), what="all is delivered")
    await until(lambda: _has_moved(simulator), what="a new connection")
    await longwire.until_online()
    await simulator.inject_dingtalk(DingTalkEvent(app=APP, text="afterwards"))
    await until(lambda: _are_acked(simulator, 2 * EACH + 2), what="all of it is acked")
    state, records = await app_state(simulator), await simulator.deliveries("dingtalk", app=APP)
    old, new = state.connections
    (told_at,) = next(record for record in records if record.kind == "disconnect").sent_at
    assert (old.closed_by, old.close_code) == ("client", 1000)
    assert old.closed_at is not None
    assert old.closed_at <= new.opened_at
    assert new.opened_at - told_at < 2 + SLACK_S, "DingTalk cuts only 10 s later"
    assert state.connections_max_open == 1
    assert all(len(record.sent_at) == 1 for record in records), "nothing had to be repeated"
    texts = [event.text for event in await everything(longwire) if event.type == "message.created"]
    assert texts == [*map(str, range(EACH)), "afterwards"]
    assert (await longwire.account("bot"))["restarts"] == 0


async def test_c3_what_is_delivered_even_after_the_disconnect_is_not_lost(
    simulator: Simulator, longwire: Longwire
) -> None:
    """DingTalk says it delivers nothing more; if it does all the same, it is stored.

    Alone: the old socket was closed after 0.02 s and the new one open after 0.05 s; what was not read by then
    was lost.
    """
    longwire.configure({"bot": dingtalk(simulator.url, APP)})
    await longwire.start()
    await longwire.until_online()
    async with held_up(longwire):
        await simulator.inject_dingtalk(DingTalkEvent(app=APP, count=EACH, text="before"))
        await simulator.inject_dingtalk(DingTalkEvent(app=APP, kind="raw", raw=DISCONNECT))
        await simulator.inject_dingtalk(DingTalkEvent(app=APP, count=EACH, text="after"))
        await until(lambda: _is_sent(simulator, 2 * EACH + 1), what="all is delivered")
    await until(lambda: _has_moved(simulator), what="a new connection")
    await longwire.until_online()
    texts = [event.text for event in await everything(longwire)]
    assert texts == ["before"] * EACH + ["after"] * EACH
    assert (await app_state(simulator)).connections_max_open == 1


async def _is_sent(simulator: Simulator, count: int) -> bool:
    state = await app_state(simulator)
    return sum(connection.frames_out for connection in state.connections) == count


async def _has_moved(simulator: Simulator) -> bool:
    state = await app_state(simulator)
    return (state.connections_total, state.connections_open) == (2, 1)


async def _are_acked(simulator: Simulator, count: int) -> bool:
    return (await app_state(simulator)).acked == count


def _callback(**headers: str) -> dict[str, Any]:
    return {"specVersion": "1.0", "type": "CALLBACK", "headers": headers, "data": '{"msgtype": "text"}'}


FRAMES = {
    "no-json": DingTalkEvent(app=APP, kind="raw", raw_text="{not json"),
    "an-array": DingTalkEvent(app=APP, kind="raw", raw_text='[{"type": "CALLBACK"}]'),
    "a-number": DingTalkEvent(app=APP, kind="raw", raw_text="17"),
    "empty": DingTalkEvent(app=APP, kind="raw", raw_text=" "),
    "no-text": DingTalkEvent(app=APP, kind="raw", wire=b"\xff\xfe\x00"),
    "deep": DingTalkEvent(app=APP, kind="raw", raw_text="[" * 100_000),
    "no-headers": DingTalkEvent(app=APP, kind="raw", raw={"type": "CALLBACK", "data": "{}"}),
    "data-no-json": DingTalkEvent(app=APP, frame_message_id="data-no-json", raw_text="{not json"),
    "unknown-topic": DingTalkEvent(
        app=APP, kind="card", frame_message_id="unknown-topic", topic="/v9/unknown"
    ),
    "unknown-system": DingTalkEvent(
        app=APP, kind="ping", frame_message_id="unknown-system", topic="REGISTERED"
    ),
    "no-msg-id": DingTalkEvent(app=APP, frame_message_id="no-msg-id", omitted_fields=["msgId"]),
    "no-message-id": DingTalkEvent(app=APP, kind="raw", raw=_callback(topic=ROBOT)),
}
ANSWERS = {"unknown-topic": 404, "data-no-json": 400, "no-msg-id": 200}
"""What is answered, and with which code; to what carries no id there is no answer."""


async def test_c8_frames_that_are_none_are_counted_and_answered_as_the_protocol_says_and_the_link_stays(
    simulator: Simulator, longwire: Longwire
) -> None:
    """Twelve kinds of frames that are none, on one link, and a good one behind them.

    Alone: a text that is no JSON cost the connection, and a new one 3 s later; unknown topics and frames
    without an id were not answered.
    """
    longwire.configure({"bot": dingtalk(simulator.url, APP)})
    await longwire.start()
    await longwire.until_online()
    for event in FRAMES.values():
        await simulator.inject_dingtalk(event)
    await simulator.inject_dingtalk(DingTalkEvent(app=APP, frame_message_id="last", text="last"))

    async def answered() -> dict[str, DeliveryRecord] | None:
        records = await simulator.deliveries("dingtalk", app=APP)
        found = {record.frame_message_id: record for record in records}
        return found if all(found[name].ack_count for name in (*ANSWERS, "last")) else None

    records = await until(answered, what="what can be answered is answered")
    assert {name: records[name].ack_code for name in ANSWERS} == ANSWERS
    assert records["unknown-system"].ack_count == 0
    assert records["no-msg-id"].phase is Phase.ACKED

    async def counted() -> bool:
        counters = (await longwire.account("bot"))["counters"]
        return bool(counters.get("malformed_frame") == 8 and counters.get("unknown_topic") == 1)

    await until(counted, what="each is counted")
    events = await everything(longwire)
    assert sorted(event.text or "" for event in events) == ["", "hello", "last"], "what can be read is stored"
    state = await app_state(simulator)
    assert (state.connections_total, state.connections_open, state.bad_frames_in) == (1, 1, 0)
    account = await longwire.account("bot")
    assert (account["state"], account["restarts"]) == ("online", 0)


@pytest.mark.timeout(300)
async def test_c9_a_stop_works_with_a_newer_sdk_too(
    simulator: Simulator, longwire: Longwire, other_python: str
) -> None:
    """With 0.24.4b1, in an interpreter of its own.

    Alone: cancelled once, it was not done after 30 s, and 10 s later it had a new connection.
    """
    longwire.configure({"bot": dingtalk(simulator.url, APP, python=other_python)})
    await longwire.start()
    await longwire.until_online()
    assert OTHER_VERSIONS["dingtalk-stream"] in (await longwire.account("bot"))["sdk"]
    assert await stop_and_look(simulator, longwire, platform="dingtalk", app=APP) < 4 + SLACK_S
    (connection,) = (await app_state(simulator)).connections
    assert (connection.closed_by, connection.close_code) == ("client", 1000)
