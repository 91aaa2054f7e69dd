"""Clicks on cards through the installed command: who clicks sees the answer, the default, or a failure."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest

from harness.longwire import Longwire, dingtalk, lark
from harness.simulator import Simulator
from harness.waiting import DEADLINE_S, until
from longwire import CommandError
from longwire_connectors.simulator.clicks import ClickSeen
from longwire_connectors.simulator.injections import DingTalkEvent, LarkEvent
from longwire_protocol.errors import RetCode
from longwire_protocol.subscription import IncomingEvent

APP = "cli_00000000000000dd"
HALF_S = 1.5
"""Of the platforms' 3 s, so that a busy machine has as much for the answer as for the default."""

Platform = Literal["lark", "dingtalk"]
BOTH = pytest.mark.parametrize("platform", ["lark", "dingtalk"])


def account(simulator: Simulator, platform: Platform, **more: Any) -> dict[str, Any]:
    if platform == "lark":
        return lark(simulator.url, APP, card_default_toast="heard", **more)
    return dingtalk(simulator.url, APP, **more)


async def click(simulator: Simulator, platform: Platform) -> None:
    if platform == "lark":
        await simulator.inject_lark(LarkEvent(app=APP, kind="card"))
    else:
        await simulator.inject_dingtalk(DingTalkEvent(app=APP, kind="card"))


async def seen(simulator: Simulator, platform: Platform, *, number: int) -> ClickSeen:
    """Return what the last of so many clicks showed."""

    async def shown() -> ClickSeen | None:
        clicks = await simulator.clicks(platform, app=APP)
        is_shown = len(clicks) == number and clicks[-1].sees != "nothing yet"
        return clicks[-1] if is_shown else None

    return await until(shown, what="what the user sees")


@asynccontextmanager
async def clicked(
    simulator: Simulator, longwire: Longwire, platform: Platform
) -> AsyncIterator[IncomingEvent]:
    """Click, and give the event as a program gets it, which has acknowledged it."""
    subscription = longwire.client.subscribe(types=["card.action"])
    await subscription.open()
    await click(simulator, platform)
    async with asyncio.timeout(DEADLINE_S):
        event = await anext(subscription)
    await event.ack()
    yield event
    await subscription.close()


async def journalled(longwire: Longwire) -> list[tuple[str, float | None]]:
    return [(event.id, event.respond_by) async for event in longwire.client.replay(types=["card.action"])]


async def retcode_of(answer: Awaitable[object]) -> int:
    with pytest.raises(CommandError) as caught:
        await answer
    return caught.value.retcode


@BOTH
async def test_who_clicks_sees_the_answer_in_time_the_default_when_it_is_late_and_that_a_killed_child_failed(
    simulator: Simulator, longwire: Longwire, platform: Platform
) -> None:
    longwire.configure({"bot": account(simulator, platform, backoff_initial_s=0.1, card_respond_s=HALF_S)})
    await longwire.start()
    await longwire.until_online()
    client = longwire.client

    async with clicked(simulator, longwire, platform) as event:
        assert event.respond_by is not None
        await client.respond(event, card={"state": "done"})
        answered = await seen(simulator, platform, number=1)
        assert await retcode_of(client.respond(event, card={"state": "again"})) == RetCode.BAD_REQUEST
    assert answered.sees == "answer"
    assert (
        answered.answer
        == {
            "lark": {"card": {"type": "raw", "data": {"state": "done"}}},
            "dingtalk": {
                "cardData": {"cardParamMap": {"state": "done"}},
                "cardUpdateOptions": {"updateCardDataByKey": True},
            },
        }[platform]
    )

    async with clicked(simulator, longwire, platform) as event:
        late = await seen(simulator, platform, number=2)
        assert await retcode_of(client.respond(event, card={})) == RetCode.DEADLINE_EXCEEDED
    default = {"toast": {"type": "info", "content": "heard"}} if platform == "lark" else None
    assert (late.sees, late.answer) == ("answer", default)
    assert HALF_S <= (late.after_s or 0.0) < 3.0

    async with clicked(simulator, longwire, platform) as event:
        killed = (await longwire.account("bot"))["pid"]
        os.kill(killed, signal.SIGKILL)

        async def is_replaced() -> bool:
            return (await longwire.account("bot"))["pid"] not in {None, killed}

        await until(is_replaced, what="another process")
        await longwire.until_online()
        assert await retcode_of(client.respond(event, card={})) == RetCode.BAD_PARAM
    assert (await seen(simulator, platform, number=3)).sees == "failure"
    kept = await journalled(longwire)
    assert (len(kept), kept[-1]) == (3, (event.id, None)), "kept, and promised to nobody in a replay"


async def test_a_child_that_is_leaving_still_shows_the_answer_to_the_click_it_got(
    simulator: Simulator, longwire: Longwire
) -> None:
    """An eighth of the stop timeout is for what is under way: here more than a click may wait."""
    longwire.configure({"bot": account(simulator, "lark", stop_timeout_s=60.0)})
    await longwire.start()
    await longwire.until_online()
    async with clicked(simulator, longwire, "lark") as event:
        await longwire.client.call("account.stop", account="bot")
        assert (await longwire.account("bot"))["state"] == "stopping"
        await longwire.client.respond(event, toast="saved")
    answered = await seen(simulator, "lark", number=1)
    assert answered.answer == {"toast": {"type": "info", "content": "saved"}}
    await longwire.until_state("bot", "stopped")


@BOTH
async def test_a_click_that_waits_when_its_account_is_restarted_shows_the_default_and_a_late_answer_says_why(
    simulator: Simulator, longwire: Longwire, platform: Platform
) -> None:
    longwire.configure({"bot": account(simulator, platform, backoff_initial_s=0.1, card_respond_s=2.8)})
    await longwire.start()
    await longwire.until_online()
    async with clicked(simulator, longwire, platform) as event:
        before = (await longwire.account("bot"))["pid"]
        await longwire.client.call("account.restart", account="bot")
        shown = await seen(simulator, platform, number=1)

        async def is_replaced() -> bool:
            return (await longwire.account("bot"))["pid"] not in {None, before}

        await until(is_replaced, what="another process")
        await longwire.until_online()
        with pytest.raises(CommandError) as caught:
            await longwire.client.respond(event, card={})
    default = {"toast": {"type": "info", "content": "heard"}} if platform == "lark" else None
    assert (shown.sees, shown.answer) == ("answer", default)
    assert (shown.after_s or 0.0) < 2.8, "it did not wait for its time"
    assert (caught.value.retcode, caught.value.retryable) == (RetCode.BAD_PARAM, False)
    assert "process" in caught.value.message
