"""Clicks on cards, on both platforms: what their users see, and that nothing else waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest

from fakes.host import FakeHost, FakeLink
from harness.waiting import until
from longwire_connectors import clickbook
from longwire_connectors.base import Connector
from longwire_connectors.dingtalk import session
from longwire_connectors.dingtalk.connector import DingTalkConnector
from longwire_connectors.dingtalk.options import DingTalkOptions
from longwire_connectors.lark.connector import LarkConnector, LarkOptions
from longwire_connectors.simulator import DingTalkEvent, LarkEvent, Simulator, SimulatorClient
from longwire_connectors.simulator.clicks import ClickSeen
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.event import Event

APP = "cli_00000000000000cc"
DEADLINE_S = 30.0
LONG_S = 60.0
"""More than an operator may choose, so that no default comes between on a busy machine."""
HELD = 40
"""More than the frames that Lark's session deals with at once."""

Platform = Literal["lark", "dingtalk"]
BOTH = pytest.mark.parametrize("platform", ["lark", "dingtalk"])


class Stage:
    """A connector that is online, its host and link, and who clicks."""

    def __init__(self, platform: Platform, admin: SimulatorClient, connector: Connector) -> None:
        self.platform: Platform = platform
        self.admin = admin
        self.connector = connector
        self.host: FakeHost
        self.link: FakeLink

    async def click(self, *, count: int = 1, sender: str = "ann") -> None:
        if self.platform == "lark":
            await self.admin.inject_lark(LarkEvent(app=APP, kind="card", count=count, sender=sender))
        else:
            event = DingTalkEvent(app=APP, kind="card", count=count, sender_staff_id=sender)
            await self.admin.inject_dingtalk(event)

    async def message(self) -> None:
        if self.platform == "lark":
            await self.admin.inject_lark(LarkEvent(app=APP))
        else:
            await self.admin.inject_dingtalk(DingTalkEvent(app=APP))

    async def clicked(self, number: int = 1) -> Event:
        """Return the newest of so many events."""
        await self.link.wait_for_events(number, timeout_s=DEADLINE_S)
        return self.link.events[-1]

    async def respond(self, event: Event, **answer: Any) -> Any:
        return await self.connector.call("card.respond", {"event": event.id, **answer})

    async def seen(self, number: int = 1) -> ClickSeen:
        """Return what the last of so many clicks showed, as soon as everyone has seen something."""

        async def all_seen() -> list[ClickSeen] | None:
            clicks = await self.admin.clicks(self.platform, app=APP)
            done = len(clicks) == number and all(click.sees != "nothing yet" for click in clicks)
            return clicks if done else None

        return (await until(all_seen, what="what the user sees"))[-1]


@asynccontextmanager
async def staged(
    platform: Platform,
    *,
    respond_s: float = 2.5,
    stores: bool = True,
    senders: tuple[str, ...] | None = None,
    time_scale: float = 1000.0,
) -> AsyncIterator[Stage]:
    host = FakeHost(platform=platform, allow_senders=senders)
    link = FakeLink(stores=stores)
    async with Simulator(time_scale=time_scale) as simulator, SimulatorClient(simulator.url) as admin:
        connector: Connector
        if platform == "lark":
            options = LarkOptions(
                app_id=APP,
                app_secret="s",
                domain=simulator.url,
                card_respond_s=respond_s,
                card_default_toast="heard",
            )
            connector = LarkConnector(options, host)
        else:
            given = DingTalkOptions(
                client_id=APP, client_secret="s", api_base=simulator.url, card_respond_s=respond_s
            )
            connector = DingTalkConnector(given, host)
        connector.load()
        stage = Stage(platform, admin, connector)
        stage.host, stage.link = host, link
        serving = asyncio.create_task(connector.serve(link), name="serve")
        try:
            async with asyncio.timeout(DEADLINE_S):
                await link.is_proven.wait()
            yield stage
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            await connector.close()


def default_of(platform: Platform) -> object:
    return {"toast": {"type": "info", "content": "heard"}} if platform == "lark" else None


async def refused(work: Any) -> int:
    with pytest.raises(CommandError) as caught:
        await work
    assert not caught.value.retryable
    return caught.value.retcode


@BOTH
async def test_the_first_answer_in_time_is_what_the_user_sees(platform: Platform) -> None:
    async with staged(platform) as stage:
        before = time.time()
        await stage.click()
        event = await stage.clicked()
        assert event.respond_by is not None
        assert before < event.respond_by - 2.4 < time.time() + 0.1
        assert await stage.respond(event, card={"state": "done"}) == {}
        assert await refused(stage.respond(event)) == RetCode.BAD_REQUEST
        seen = await stage.seen()
    assert seen.sees == "answer"
    assert seen.answer == (
        {"card": {"type": "raw", "data": {"state": "done"}}}
        if platform == "lark"
        else {
            "cardData": {"cardParamMap": {"state": "done"}},
            "cardUpdateOptions": {"updateCardDataByKey": True},
        }
    )


@BOTH
async def test_a_click_that_nobody_answers_shows_the_default_and_the_answer_after_it_is_late(
    platform: Platform,
) -> None:
    async with staged(platform, respond_s=0.3) as stage:
        await stage.click()
        event = await stage.clicked()
        seen = await stage.seen()
        assert await refused(stage.respond(event)) == RetCode.DEADLINE_EXCEEDED
    assert (seen.sees, seen.answer) == ("answer", default_of(platform))
    assert seen.after_s is not None
    assert seen.after_s >= 0.3


@BOTH
async def test_a_refused_answer_leaves_the_click_to_a_better_one(platform: Platform) -> None:
    async with staged(platform, respond_s=LONG_S) as stage:
        await stage.click()
        event = await stage.clicked()
        bad = stage.respond(event, toast={"content": "x", "type": "party"})
        assert await refused(bad) == (RetCode.BAD_PARAM if platform == "lark" else RetCode.UNSUPPORTED)
        assert await refused(stage.respond(event, card={"a": {(1, 2): "b"}})) == RetCode.BAD_PARAM
        await stage.respond(event, data={"mine": 1})
        assert (await stage.seen()).answer == {"mine": 1}


@BOTH
async def test_what_is_no_click_cannot_be_answered(platform: Platform) -> None:
    async with staged(platform) as stage:
        await stage.message()
        event = await stage.clicked()
        assert event.respond_by is None
        assert await refused(stage.respond(event)) == RetCode.BAD_PARAM
        assert await refused(stage.connector.call("card.respond", {})) == RetCode.BAD_PARAM


@BOTH
async def test_nothing_else_waits_for_clicks_and_beyond_the_bound_the_default_is_shown_at_once(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clickbook, "MAX_HELD", HELD)
    monkeypatch.setattr(session, "MAX_UNANSWERED", HELD)
    async with staged(platform, respond_s=LONG_S) as stage:
        await stage.click(count=HELD)
        await stage.clicked(HELD)
        await stage.click()
        crowded = await stage.clicked(HELD + 1)
        assert crowded.respond_by is None
        await stage.message()
        message = await stage.clicked(HELD + 2)
        assert message.type == "message.created"

        async def acked() -> bool:
            records = await stage.admin.deliveries(stage.platform, app=APP)
            return records[-1].acked_at is not None and records[HELD].acked_at is not None

        await until(acked, what="the message and the click beyond the bound have their acks")
        deliveries = await stage.admin.deliveries(stage.platform, app=APP)
        assert [one.ack_count for one in deliveries] == [*[0] * HELD, 1, 1]


@BOTH
async def test_a_click_of_somebody_who_may_not_talk_is_acknowledged_plainly_and_at_once(
    platform: Platform,
) -> None:
    async with staged(platform, senders=("ann",)) as stage:
        await stage.click(sender="bob")
        event = await stage.clicked()
        assert event.respond_by is None
        seen = await stage.seen()
        assert (seen.sees, seen.answer) == ("answer", {} if platform == "lark" else None)
        assert await refused(stage.respond(event)) == RetCode.BAD_PARAM


@BOTH
async def test_a_click_that_is_not_on_disk_in_time_fails_and_so_does_its_answer(platform: Platform) -> None:
    async with staged(platform, stores=False) as stage:
        await stage.click()
        event = await stage.clicked()
        answer = asyncio.create_task(stage.respond(event, data={"mine": 1}))
        assert await refused(answer) == RetCode.PLATFORM_UNREACHABLE
        assert (await stage.seen()).sees == "failure"


@BOTH
async def test_a_click_whose_connection_ends_fails_and_is_told_so(platform: Platform) -> None:
    async with staged(platform) as stage:
        await stage.click()
        event = await stage.clicked()
        await stage.admin.drop(stage.platform, app=APP, how="abort")

        async def is_refused() -> bool:
            return await refused(stage.respond(event)) == RetCode.PLATFORM_UNREACHABLE

        await until(is_refused, what="the answer is refused")
        assert (await stage.seen()).sees == "failure"


async def test_a_click_that_waits_when_dingtalk_replaces_the_connection_gets_the_default() -> None:
    async with staged("dingtalk", respond_s=LONG_S, time_scale=1.0) as stage:  # it cuts after 10 s
        await stage.click()
        await stage.clicked()
        await stage.admin.inject_dingtalk(DingTalkEvent(app=APP, kind="disconnect"))
        seen = await stage.seen()
        assert (seen.sees, seen.answer) == ("answer", None)


async def test_a_click_that_waits_at_a_stop_gets_the_default_before_the_connection_is_closed() -> None:
    async with staged("lark", respond_s=LONG_S) as stage:
        await stage.click()
        await stage.clicked()
        stage.host.clicks.release()
        await stage.host.clicks.settled()
        seen = await stage.seen()
        assert (seen.sees, seen.answer) == ("answer", default_of("lark"))
