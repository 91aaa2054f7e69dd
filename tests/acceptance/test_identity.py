"""Scenario B9: who the bot is, known at once: from the first event on, and over every kind of replacement."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from harness.longwire import Longwire, dingtalk, lark
from harness.simulator import Simulator
from harness.waiting import until
from longwire import Event
from longwire_connectors.simulator.fault_kinds import ApiError, ApiHang, FaultBase
from longwire_connectors.simulator.injections import DingTalkEvent, LarkEvent, LarkMention

APP, OTHER, DING = "cli_00000000000000aa", "cli_00000000000000bb", "dingidentity"
BOT, OTHER_BOT = "ou_00000000000000aa", "ou_00000000000000bb"


def mention(text: str, *, bot: str = BOT, app: str = APP) -> LarkEvent:
    """Return a message of a group to the bot."""
    who = LarkMention(open_id=bot, name="Acme Bot")
    return LarkEvent(app=app, chat_type="group", text=f"@_user_1 {text}", mentions=[who])


async def messages(longwire: Longwire, count: int) -> list[Event]:
    """Return the messages in the journal, once there are so many."""

    async def stored() -> list[Event] | None:
        found = [event async for event in longwire.client.replay(types=["message.created"])]
        return list(found) if len(found) >= count else None

    return await until(stored, what=f"{count} messages are stored")


async def is_left(simulator: Simulator, links: int) -> bool:
    """Tell whether so many links are over; what is sent on one that is not comes again only after 15 s."""
    connections = (await simulator.app_state("lark", APP)).connections
    return sum(connection.closed_at is not None for connection in connections) >= links


def facts(event: Event) -> tuple[str | None, bool | None, str | None]:
    return event.text, event.to_me, event.bot.id if event.bot else None


async def test_b9_the_first_events_of_the_first_process_are_recognised_in_their_order(
    simulator: Simulator, longwire: Longwire
) -> None:
    """Mentions that wait at the platform before anybody connects, so they come with the first frames.

    Alone: by its code, the SDK does not know who the bot is; each program asks at its start, or takes
    mentions of others for its own.
    """
    await simulator.register("lark", app=APP, secret=f"secret-of-{APP}", name="Acme Bot")
    for number in range(5):
        await simulator.inject_lark(mention(str(number)))
    longwire.configure({"bot": lark(simulator.url, APP)})
    await longwire.start()
    found = await messages(longwire, 5)
    assert [facts(event) for event in found] == [(f"@Acme Bot {n}", True, BOT) for n in range(5)]
    app = await simulator.app_state("lark", APP)
    assert (app.redeliveries, app.connections_total) == (0, 1)


@pytest.mark.parametrize(
    "fault",
    [ApiHang(platform="lark", call="token"), ApiError(platform="lark", call="token", status=403)],
    ids=["hangs", "refuses"],
)
async def test_b9_a_platform_that_does_not_tell_who_the_bot_is_costs_no_event_and_no_link(
    simulator: Simulator, longwire: Longwire, fault: FaultBase
) -> None:
    """The account is online, and its first event stored and acknowledged in time: no redelivery.

    Alone: by its code, the SDK does not know who the bot is; each program asks at its start, or takes
    mentions of others for its own.
    """
    await simulator.fault(fault)
    await simulator.inject_lark(mention("who am I"))
    longwire.configure({"bot": lark(simulator.url, APP)})
    await longwire.start()
    await longwire.until_online()
    (event,) = await messages(longwire, 1)
    assert (event.to_me, event.bot) == (None, None)

    async def acked() -> bool:
        return (await simulator.app_state("lark", APP)).acked == 1

    await until(acked, what="the platform has its ack")
    assert (await simulator.app_state("lark", APP)).redeliveries == 0


async def test_b9_the_identity_is_known_at_once_after_a_kill_of_the_child_and_of_the_supervisor(
    simulator: Simulator, longwire: Longwire
) -> None:
    """From then on nobody is asked: the platform's call hangs, and the first mention is recognised anyhow.

    Alone: by its code, the SDK does not know who the bot is; each program asks at its start, or takes
    mentions of others for its own.
    """
    longwire.configure({"bot": lark(simulator.url, APP)})
    await longwire.start()
    await longwire.until_online()
    await simulator.inject_lark(mention("0"))
    await messages(longwire, 1)  # committed after the identity, which is on disk then, too
    await simulator.fault(ApiHang(platform="lark", call="any"))
    pid = (await longwire.account("bot"))["pid"]
    os.kill(pid, signal.SIGKILL)
    await until(lambda: is_left(simulator, 1), what="the platform sees the first link end")
    await simulator.inject_lark(mention("1"))
    await messages(longwire, 2)
    await longwire.kill()
    await until(lambda: is_left(simulator, 2), what="the platform sees the second link end")
    await simulator.inject_lark(mention("2"))
    begun = time.time()
    await longwire.start()
    found = await messages(longwire, 3)
    assert [facts(event) for event in found] == [(f"@Acme Bot {n}", True, BOT) for n in range(3)]
    assert found[2].recv_time > begun
    assert (await longwire.account("bot"))["bot"]["id"] == BOT


async def test_b9_another_app_under_the_same_name_is_another_bot(
    simulator: Simulator, longwire: Longwire
) -> None:
    """A remembered identity is that of an app: a mention of the old bot is not taken for one of the new.

    Alone: by its code, the SDK does not know who the bot is; each program asks at its start, or takes
    mentions of others for its own.
    """
    longwire.configure({"bot": lark(simulator.url, APP)})
    await longwire.start()
    await longwire.until_online()
    await simulator.inject_lark(mention("old"))
    await messages(longwire, 1)
    await simulator.inject_lark(mention("new", bot=OTHER_BOT, app=OTHER))
    await simulator.inject_lark(mention("not new", bot=BOT, app=OTHER))
    longwire.configure({"bot": lark(simulator.url, OTHER)})
    await longwire.client.call("config.reload")
    found = await messages(longwire, 3)
    assert [(event.to_me, event.bot.id if event.bot else None) for event in found] == [
        (True, BOT),
        (True, OTHER_BOT),
        (False, OTHER_BOT),
    ]


async def test_b9_an_account_that_was_removed_and_added_again_still_knows_who_it_is(
    simulator: Simulator, longwire: Longwire
) -> None:
    """By command, without a restart of the supervisor, and while the platform tells nobody.

    Alone: by its code, the SDK does not know who the bot is; each program asks at its start, or takes
    mentions of others for its own.
    """
    longwire.configure({})
    await longwire.start()
    params = {"account": "bot", "config": lark(simulator.url, APP)}
    await longwire.client.call("account.add", params)
    await longwire.until_online("bot")
    await simulator.inject_lark(mention("0"))
    await messages(longwire, 1)
    await longwire.client.call("account.remove", account="bot")
    await simulator.fault(ApiHang(platform="lark", call="any"))
    await longwire.client.call("account.add", params)
    await simulator.inject_lark(mention("1"))
    found = await messages(longwire, 2)
    assert [facts(event) for event in found] == [(f"@Acme Bot {n}", True, BOT) for n in range(2)]


async def test_b9_dingtalks_robot_is_known_by_its_first_message_and_its_code_over_a_restart(
    simulator: Simulator, longwire: Longwire
) -> None:
    """DingTalk tells who the robot is in each message; what is no message has it from an earlier process.

    Alone: by its code, the SDK does not know who the bot is; each program asks at its start, or takes
    mentions of others for its own.
    """
    longwire.configure({"bot": dingtalk(simulator.url, DING)})
    await longwire.start()
    await longwire.until_online()
    await simulator.inject_dingtalk(DingTalkEvent(app=DING, conversation_type="2", text="hello"))
    (event,) = await messages(longwire, 1)
    robot = {"id": f"$:LWCP_v1:${DING}==", "code": DING}
    assert (event.to_me, event.bot.id if event.bot else None) == (True, robot["id"])
    await longwire.kill()
    await longwire.start()
    await longwire.until_online()
    assert (await longwire.account("bot"))["bot"] == robot
    await simulator.inject_dingtalk(DingTalkEvent(app=DING, kind="event"))

    async def told() -> list[Any] | None:
        replay = longwire.client.replay(types=["chat.updated", "platform.raw"], accounts=["bot"])
        return [each.bot.code async for each in replay if each.bot] or None

    assert await until(told, what="the event is stored") == [DING]
