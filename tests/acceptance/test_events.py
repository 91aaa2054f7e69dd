"""What happens on a platform reaches a subscriber once, under its own name."""

from __future__ import annotations

import asyncio

from harness.longwire import Longwire, dingtalk, lark
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.injections import DingTalkEvent, LarkEvent

LARK, DING = "cli_00000000000000aa", "dingevents"
TYPES = [
    "message.created",
    "message.updated",
    "message.deleted",
    "reaction.created",
    "reaction.deleted",
    "member.joined",
    "platform.raw",
]


async def test_a_messages_edit_reaction_and_recall_arrive_beside_it_and_each_once(
    simulator: Simulator, longwire: Longwire
) -> None:
    longwire.configure({"bot": lark(simulator.url, LARK), "ding": dingtalk(simulator.url, DING)})
    await longwire.start()
    await longwire.until_online()
    subscription = longwire.client.subscribe(start="all", types=TYPES)
    await subscription.open()
    edit = "im.message.updated_v1"
    await simulator.inject_lark(LarkEvent(app=LARK, message_id="om_1", text="hello"))
    await simulator.inject_lark(LarkEvent(app=LARK, message_id="om_1", text="hello!", event_type=edit))
    for name in (
        "im.message.reaction.created_v1",
        "im.message.reaction.deleted_v1",
        "im.message.recalled_v1",
    ):
        await simulator.inject_lark(LarkEvent(app=LARK, message_id="om_1", kind="event", event_type=name))
    await simulator.inject_dingtalk(
        DingTalkEvent(app=DING, kind="event", event_type="chat_add_member", event_id="e1")
    )

    async def acked() -> bool:
        lark_state = await simulator.app_state("lark", LARK)
        return lark_state.acked == 5 and (await simulator.app_state("dingtalk", DING)).acked == 1

    await until(acked, what="every event is acknowledged")
    assert await simulator.redeliver("lark", app=LARK, identity="om_1") == 5
    assert await simulator.redeliver("dingtalk", app=DING, identity="e1") == 1

    async def recognised() -> bool:
        accounts = (await longwire.status())["accounts"]
        return sum(account["duplicates"] for account in accounts) == 6

    await until(recognised, what="every redelivery is recognised")
    await simulator.inject_lark(LarkEvent(app=LARK, text="last"))
    arrived: list[tuple[str, str | None]] = []
    async with asyncio.timeout(30):
        while "last" not in (text for _, text in arrived):
            event = await anext(subscription)
            arrived.append((event.type, event.text))
            await event.ack()
    assert sorted(arrived, key=str) == [
        ("member.joined", None),
        ("message.created", "hello"),
        ("message.created", "last"),
        ("message.deleted", None),
        ("message.updated", "hello!"),
        ("reaction.created", "SMILE"),
        ("reaction.deleted", "SMILE"),
    ]
