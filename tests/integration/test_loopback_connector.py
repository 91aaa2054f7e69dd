"""The loopback connector, without a parent."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from fakes.host import FakeHost, FakeLink
from longwire_connectors.loopback import LoopbackConnector, LoopbackOptions
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.event import Event

DEADLINE_S = 30.0


class PlainLink(FakeLink):
    """Stores at once, as quickly as a link can."""

    def hand_over(self, event: Event, *, timeout_s: float) -> asyncio.Future[bool]:
        del timeout_s
        self.events.append(event)
        stored: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        stored.set_result(True)
        return stored


def new(**options: object) -> tuple[LoopbackConnector, FakeHost]:
    host = FakeHost(platform="loopback", link_timeout_s=0.3)
    connector = LoopbackConnector(msgspec.convert(options, LoopbackOptions), host)
    assert connector.load() == "loopback"
    return connector, host


@asynccontextmanager
async def serving(connector: LoopbackConnector, link: FakeLink) -> AsyncIterator[None]:
    task = asyncio.create_task(connector.serve(link))
    try:
        async with asyncio.timeout(DEADLINE_S):
            await link.is_proven.wait()
            yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=DEADLINE_S)
        assert task.cancelled()


async def until_there_are(link: FakeLink, n: int) -> None:
    while len(link.events) < n:  # noqa: ASYNC110  what it waits for is only seen by looking
        await asyncio.sleep(0.001)


async def test_the_link_is_proven_and_stays_so() -> None:
    connector, host = new()
    link = FakeLink()
    async with serving(connector, link):
        while link.pongs < 4:  # noqa: ASYNC110  what it waits for is only seen by looking
            await asyncio.sleep(0.01)
        assert link.connection == "loopback-1"
        assert link.events == []
        assert host.bot is not None
    again = FakeLink()
    async with serving(connector, again):
        assert again.connection == "loopback-2"


async def test_events_come_in_order_over_the_chats_until_there_are_enough() -> None:
    connector, _ = new(rate_per_s=math.inf, count=3000, chats=3, size_bytes=20)
    link = PlainLink()
    async with serving(connector, link):
        await until_there_are(link, 3000)
    texts = [event.text or "" for event in link.events]
    assert [int(text.rstrip(".")) for text in texts] == list(range(1, 3001))
    assert {len(text) for text in texts} == {20}
    assert [event.chat.id for event in link.events[:4] if event.chat] == [
        "loopback-1",
        "loopback-2",
        "loopback-0",
        "loopback-1",
    ]
    assert all(event.dedup_key == f"m:{event.message_id}" for event in link.events)
    assert len({event.message_id for event in link.events}) == 3000
    assert len(link.events) == 3000


async def test_sequential_ids_grow() -> None:
    connector, _ = new(rate_per_s=math.inf, count=100, ids="sequential")
    link = PlainLink()
    async with serving(connector, link):
        await until_there_are(link, 100)
    ids = [event.message_id or "" for event in link.events]
    assert ids == sorted(ids)


async def test_the_rate_is_kept() -> None:
    connector, _ = new(rate_per_s=200.0)
    link = PlainLink()
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with serving(connector, link):
        await until_there_are(link, 100)
        assert loop.time() - began >= 0.35


async def test_nothing_is_made_while_there_is_no_room() -> None:
    connector, _ = new(rate_per_s=math.inf, count=50)
    link = PlainLink()
    has_room = asyncio.Event()
    link.room = has_room.wait  # type: ignore[method-assign, assignment]
    async with serving(connector, link):
        await asyncio.sleep(0)
        assert link.events == []
        has_room.set()
        await until_there_are(link, 50)


async def test_an_event_that_is_stored_late_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longwire_connectors.loopback.STORED_WITHIN_S", 0.01)
    connector, host = new(rate_per_s=math.inf, count=5)
    async with serving(connector, FakeLink(stores=False)):
        while host.counts["not_stored_in_time"] < 5:  # noqa: ASYNC110  only seen by looking
            await asyncio.sleep(0.001)


async def test_a_message_is_answered_and_comes_back_where_echo_is_on() -> None:
    connector, _ = new(echo=True)
    params = {"chat": {"id": "c", "type": "private"}, "text": "hi", "reply_to": "m0"}
    with pytest.raises(CommandError) as refusal:
        await connector.call("message.create", params)
    assert refusal.value.retcode == RetCode.ACCOUNT_NOT_ONLINE
    link = FakeLink()
    async with serving(connector, link):
        answer = await connector.call("message.create", params)
    (event,) = link.events
    assert answer == {"message_id": event.message_id}
    assert event.chat is not None
    assert (event.chat.id, event.text, event.reply_to) == ("c", "hi", "m0")
    quiet, _ = new()
    segments = [{"type": "text", "data": {"text": "hi"}}]
    assert (await quiet.call("message.create", {"user": "u", "segments": segments})).keys() == {"message_id"}


@pytest.mark.parametrize(
    ("method", "params", "retcode"),
    [
        ("message.delete", {}, RetCode.UNKNOWN_METHOD),
        ("message.create", {"text": "x"}, RetCode.BAD_PARAM),
        ("message.create", {"chat": "", "text": "x"}, RetCode.BAD_PARAM),
        ("message.create", {"chat": "c"}, RetCode.BAD_PARAM),
        ("message.create", {"chat": "c", "segments": [{"type": "image"}]}, RetCode.BAD_PARAM),
    ],
)
async def test_a_bad_command_is_refused(method: str, params: dict, retcode: RetCode) -> None:
    connector, _ = new()
    with pytest.raises(CommandError) as refusal:
        await connector.call(method, params)
    assert refusal.value.retcode == retcode


@pytest.mark.parametrize(
    "options",
    [{"rate_per_s": -1}, {"rate_per_s": math.nan}, {"chats": 0}, {"ids": "other"}, {"count": -1}, {"x": 1}],
)
def test_bad_options_are_refused(options: dict) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(options, LoopbackOptions)
