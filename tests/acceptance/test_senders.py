"""Who may talk: refused senders are acknowledged, counted, named once, and get nowhere; on both platforms."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from harness.longwire import Longwire, dingtalk, lark
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.counters import AppState
from longwire_connectors.simulator.injections import DingTalkEvent, LarkEvent

APP, DING = "cli_00000000000000aa", "dingsenders"

Write = Callable[[Simulator, str, str], Awaitable[object]]
"""Has somebody with this id write a text."""


async def on_lark(simulator: Simulator, who: str, text: str) -> object:
    return await simulator.inject_lark(LarkEvent(app=APP, sender=who, text=text))


async def on_dingtalk(simulator: Simulator, who: str, text: str) -> object:
    event = DingTalkEvent(app=DING, sender_staff_id=who, sender=f"$:{who}", sender_nick="Ann", text=text)
    return await simulator.inject_dingtalk(event)


def account(simulator: Simulator, platform: str, **more: Any) -> dict[str, Any]:
    if platform == "lark":
        return lark(simulator.url, APP, **more)
    return dingtalk(simulator.url, DING, **more)


async def texts(longwire: Longwire) -> list[str | None]:
    """Return the messages in the journal."""
    return [event.text async for event in longwire.client.replay(types=["message.created"])]


async def app_state(simulator: Simulator, platform: Any) -> AppState:
    return await simulator.app_state(platform, APP if platform == "lark" else DING)


@pytest.mark.parametrize(
    ("platform", "write", "key", "name"),
    [("lark", on_lark, "open_id", None), ("dingtalk", on_dingtalk, "staff_id", "Ann")],
)
async def test_a_sender_who_is_not_on_the_list_is_acked_counted_named_once_and_goes_no_further(
    simulator: Simulator, longwire: Longwire, platform: Any, write: Write, key: str, name: str | None
) -> None:
    """First set-up: nobody may talk, write to the bot, read the id in the log, put it on the list."""
    longwire.configure({"bot": account(simulator, platform, allow_senders=[])})
    await longwire.start()
    await longwire.until_online()
    for number in range(3):
        await write(simulator, "ann", f"refused {number}")

    async def acked() -> bool:
        return (await app_state(simulator, platform)).acked == 3

    await until(acked, what="the platform has its acks")

    async def counted() -> bool:
        counters: dict[str, int] = (await longwire.account("bot"))["counters"]
        return counters.get("sender_refused") == 3

    await until(counted, what="the refusals are counted")

    async def named() -> list[dict[str, Any]]:
        return longwire.log_events("sender_refused")

    (line,) = await until(named, what="the sender is named")
    assert (line["level"], line["account"], line["sender"]) == ("info", "bot", "ann")
    assert (line["ids"][key], line.get("sender_name")) == ("ann", name)
    tail = await longwire.client.call("logs.tail", {"account": "bot"})
    assert [each["sender"] for each in tail["lines"] if each["event"] == "sender_refused"] == ["ann"]
    longwire.configure({"bot": account(simulator, platform, allow_senders=[line["sender"]])})
    await longwire.client.call("config.reload")
    await until(lambda: is_second(longwire), what="a new process")
    await longwire.until_online()
    await write(simulator, "bob", "refused")
    await write(simulator, "ann", "allowed")

    async def stored() -> list[str | None]:
        return await texts(longwire)

    assert await until(stored, what="what an allowed sender wrote is stored") == ["allowed"]
    assert (await app_state(simulator, platform)).redeliveries == 0


async def is_second(longwire: Longwire) -> bool:
    return (await longwire.account("bot"))["incarnation"] > 1


async def test_any_id_of_a_person_will_do_and_what_nobody_sent_passes(
    simulator: Simulator, longwire: Longwire
) -> None:
    """A union_id on the list of the defaults; a recall, of which Lark does not tell who did it.

    Neither a kind of event that is not known nor a message that cannot be read is a way around the list.
    """
    ids = {"open_id": "ou_1", "union_id": "on_1", "user_id": "u1"}
    longwire.configure({"bot": lark(simulator.url, APP)}, defaults={"allow_senders": ["on_1"]})
    await longwire.start()
    await longwire.until_online()
    reaction = "im.message.reaction.created_v1"
    body = {"message_id": "om_1", "reaction_type": {"emoji_type": "OK"}, "action_time": "1700000000000"}
    for user in (ids, {"open_id": "ou_2"}):
        bodies = {
            reaction: {**body, "user_id": user},
            "im.message.pin.created_v1": {"message_id": "om_1", "operator_id": user},
            "im.message.receive_v1": {"message": {"message_id": "om_2"}, "sender": {"sender_id": user}},
        }
        for kind, data in bodies.items():
            await simulator.inject_lark(LarkEvent(app=APP, kind="event", event_type=kind, data=data))
    recall = LarkEvent(app=APP, kind="event", event_type="im.message.recalled_v1", message_id="om_1")
    await simulator.inject_lark(recall)

    async def all_acked() -> bool:
        return (await app_state(simulator, "lark")).acked == 7

    await until(all_acked, what="the platform has its acks")

    async def stored() -> list[tuple[str, str | None]] | None:
        replay = longwire.client.replay(types=["reaction.created", "message.deleted", "platform.raw"])
        seen = [(event.type, event.sender.id if event.sender else None) async for event in replay]
        return seen if len(seen) >= 4 else None

    assert sorted(await until(stored, what="what may pass is stored")) == [
        ("message.deleted", None),
        ("platform.raw", "ou_1"),
        ("platform.raw", "ou_1"),
        ("reaction.created", "ou_1"),
    ]
    assert json.dumps("ou_2") in longwire.log()


async def test_of_a_crowd_of_strangers_each_can_be_read_in_the_log(
    simulator: Simulator, longwire: Longwire
) -> None:
    """Who sets up a bot in a lively company must find the own id among those of all who wrote meanwhile."""
    crowd = {f"ou_{number}" for number in range(60)}
    longwire.configure({"bot": lark(simulator.url, APP, allow_senders=[])})
    await longwire.start()
    await longwire.until_online()
    for who in sorted(crowd):
        await on_lark(simulator, who, "which one am I?")

    async def all_named() -> bool:
        tail = await longwire.client.call("logs.tail", {"account": "bot", "lines": 500})
        return crowd == {each["sender"] for each in tail["lines"] if each["event"] == "sender_refused"}

    await until(all_named, what="all can be read by an operator")
    assert {line["sender"] for line in longwire.log_events("sender_refused")} == crowd
