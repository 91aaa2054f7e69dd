"""The simulated DingTalk, driven by a plain WebSocket client."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote_plus

import aiohttp
import pytest

from harness.waiting import until
from longwire_connectors.simulator import DingTalkEvent, Simulator, SimulatorClient
from longwire_connectors.simulator.fault_kinds import (
    AcceptThenClose,
    ApiError,
    ApiHang,
    DingTalkOpenStatus,
    DiscoveryBadJson,
    DiscoveryHang,
    NoWsPong,
)

APP = "dingsim"
SECRET = "s"
DEADLINE_S = 10.0
ALL = [
    {"type": "EVENT", "topic": "*"},
    {"type": "CALLBACK", "topic": "/v1.0/im/bot/messages/get"},
    {"type": "CALLBACK", "topic": "/v1.0/card/instances/callback"},
]


class Bot:
    """A DingTalk client made of nothing but aiohttp."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self.session = url, session

    async def post(self, path: str, body: object, **more: object) -> tuple[int, dict]:
        async with self.session.post(f"{self.url}{path}", data=json.dumps(body), **more) as response:
            return response.status, await response.json(content_type=None)

    async def open(self, secret: str = SECRET, subscriptions: object = ALL) -> tuple[int, dict]:
        body = {"clientId": APP, "clientSecret": secret, "subscriptions": subscriptions, "ua": "test"}
        return await self.post("/v1.0/gateway/connections/open", body)

    @asynccontextmanager
    async def connect(self, subscriptions: object = ALL) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        _, answer = await self.open(subscriptions=subscriptions)
        url = f"{answer['endpoint']}?ticket={quote_plus(answer['ticket'])}"
        async with self.session.ws_connect(url, autoping=False) as socket:
            yield socket

    async def token(self) -> str:
        _, answer = await self.post("/v1.0/oauth2/accessToken", {"appKey": APP, "appSecret": "s"})
        return answer["accessToken"]

    async def call(self, path: str, body: object) -> tuple[int, dict]:
        headers = {"x-acs-dingtalk-access-token": await self.token()}
        return await self.post(path, body, headers=headers)


async def receive(socket: aiohttp.ClientWebSocketResponse) -> dict:
    return await socket.receive_json(timeout=DEADLINE_S)


async def answer(
    socket: aiohttp.ClientWebSocketResponse, frame: dict, *, code: int = 200, data: object = None
) -> None:
    headers = {"contentType": "application/json", "messageId": frame["headers"]["messageId"]}
    await socket.send_json(
        {"code": code, "headers": headers, "message": "OK", "data": json.dumps(data or {})}
    )


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(time_scale=1000.0) as simulator:
        yield simulator


@pytest.fixture
async def admin(simulator: Simulator) -> AsyncIterator[SimulatorClient]:
    async with SimulatorClient(simulator.url) as client:
        yield client


@pytest.fixture
async def bot(simulator: Simulator) -> AsyncIterator[Bot]:
    async with aiohttp.ClientSession() as session:
        yield Bot(simulator.url, session)


async def test_a_ticket_opens_one_connection_and_a_wrong_one_none(bot: Bot, admin: SimulatorClient) -> None:
    status, opened = await bot.open()
    assert status == 200
    url = f"{opened['endpoint']}?ticket={opened['ticket']}"
    async with bot.session.ws_connect(url):
        state = await admin.app_state("dingtalk", APP)
        assert state.connections_open == 1
        assert "EVENT *" in state.connections[0].subscriptions
    for used in (url, f"{opened['endpoint']}?ticket=wrong", opened["endpoint"]):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await bot.session.ws_connect(used)
        assert refusal.value.status == 401


async def test_bad_credentials_get_401_and_bad_requests_400(bot: Bot, admin: SimulatorClient) -> None:
    assert (await bot.open("s"))[0] == 200
    status, body = await bot.open("other")
    assert status == 401
    assert set(body) == {"requestid", "code", "message"}
    assert (await bot.post("/v1.0/oauth2/accessToken", {"appKey": APP, "appSecret": "no"}))[0] == 401
    assert (await bot.open(subscriptions="all"))[0] == 400
    state = await admin.app_state("dingtalk", APP)
    assert (state.discovery_calls, state.discovery_refused) == (2, 1)


async def test_a_robot_message_is_pushed_once_and_its_webhook_answers(
    bot: Bot, admin: SimulatorClient
) -> None:
    async with bot.connect() as socket:
        (ids,) = await admin.inject_dingtalk(DingTalkEvent(app=APP, text="hi"))
        frame = await receive(socket)
        message = json.loads(frame["data"])
        assert (message["msgId"], message["text"]["content"]) == (ids.message_id, "hi")
        reply = {"msgtype": "text", "text": {"content": "echo"}}
        path = message["sessionWebhook"].removeprefix(bot.url)
        assert await bot.post(path, reply) == (200, {"errcode": 0, "errmsg": "ok"})
        assert (await bot.post(path, {}))[1]["errcode"] == 40035
        await answer(socket, frame)

        async def is_acked() -> bool:
            return (await admin.app_state("dingtalk", APP)).acked == 1

        await until(is_acked)
        assert (await admin.app_state("dingtalk", APP)).messages[0].body == reply


async def test_a_webhook_ends(bot: Bot, admin: SimulatorClient) -> None:
    async with bot.connect() as socket:
        await admin.inject_dingtalk(DingTalkEvent(app=APP, session_life_s=0.001))
        path = json.loads((await receive(socket))["data"])["sessionWebhook"].removeprefix(bot.url)

        async def is_over() -> bool:
            return (await bot.post(path, {"msgtype": "text"}))[1]["errcode"] == 300001

        await until(is_over)


async def test_an_event_is_repeated_until_it_is_answered_with_success(
    bot: Bot, admin: SimulatorClient
) -> None:
    async with bot.connect() as socket:
        (ids,) = await admin.inject_dingtalk(DingTalkEvent(app=APP, kind="event"))
        await answer(socket, await receive(socket), data={"status": "LATER"})
        await answer(socket, await receive(socket), code=500)
        frame = await receive(socket)
        assert frame["headers"]["eventId"] == ids.event_id
        await answer(socket, frame, data={"status": "SUCCESS"})

        async def is_acked() -> bool:
            return (await admin.app_state("dingtalk", APP)).acked == 1

        await until(is_acked)
        state = await admin.app_state("dingtalk", APP)
        assert (state.events_sent, state.ack_codes) == (3, {200: 2, 500: 1})


async def test_without_a_connection_messages_are_lost_and_events_wait(
    bot: Bot, admin: SimulatorClient
) -> None:
    await admin.inject_dingtalk(DingTalkEvent(app=APP, count=3))
    await admin.inject_dingtalk(DingTalkEvent(app=APP, kind="event"))

    async def are_dropped() -> bool:
        return (await admin.app_state("dingtalk", APP)).dropped == 3

    await until(are_dropped)
    async with bot.connect() as socket:
        assert (await receive(socket))["type"] == "EVENT"


async def test_only_subscribed_topics_are_pushed(bot: Bot, admin: SimulatorClient) -> None:
    async with bot.connect(ALL[1:2]) as socket:
        for kind in ("event", "card"):
            await admin.inject_dingtalk(DingTalkEvent(app=APP, kind=kind))
        await admin.inject_dingtalk(DingTalkEvent(app=APP, topic="/v1.0/unknown"))
        assert (await receive(socket))["headers"]["topic"] == "/v1.0/unknown"
        assert (await admin.app_state("dingtalk", APP)).dropped == 2


async def test_raw_texts_are_pushed_as_they_are(bot: Bot, admin: SimulatorClient) -> None:
    async with bot.connect() as socket:
        await admin.inject_dingtalk(DingTalkEvent(app=APP, kind="raw", raw_text="not json"))
        await admin.inject_dingtalk(DingTalkEvent(app=APP, kind="raw", raw=[1, {"a": None}]))
        assert await socket.receive_str(timeout=DEADLINE_S) == "not json"
        assert await socket.receive_str(timeout=DEADLINE_S) == '[1,{"a":null}]'


async def test_a_system_ping_goes_to_each_connection(bot: Bot, admin: SimulatorClient) -> None:
    async with bot.connect() as first, bot.connect() as second:
        assert len(await admin.inject_dingtalk(DingTalkEvent(app=APP, kind="ping"))) == 2
        for socket in (first, second):
            frame = await receive(socket)
            assert frame["headers"]["topic"] == "ping"
            await answer(socket, frame, data=json.loads(frame["data"]))
        await first.send_str("no answer")
        target = (await admin.app_state("dingtalk", APP)).connections[1].id
        await admin.inject_dingtalk(DingTalkEvent(app=APP, kind="ping", connection=target))
        await receive(second)

        async def is_counted() -> bool:
            state = await admin.app_state("dingtalk", APP)
            return (state.acks, state.bad_frames_in) == (2, 1)

        await until(is_counted)


async def test_after_a_disconnect_nothing_is_delivered_and_the_socket_is_cut(
    bot: Bot, admin: SimulatorClient
) -> None:
    async with bot.connect() as socket:
        await admin.inject_dingtalk(DingTalkEvent(app=APP, kind="disconnect"))
        frame = await receive(socket)
        assert json.loads(frame["data"])["reason"] == "connection is expired"
        await admin.inject_dingtalk(DingTalkEvent(app=APP, kind="event"))
        message = await socket.receive(timeout=DEADLINE_S)
        assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)

    async def is_closed() -> bool:
        return (await admin.app_state("dingtalk", APP)).connections_open == 0

    await until(is_closed)
    (connection,) = (await admin.app_state("dingtalk", APP)).connections
    assert (connection.closed_by, connection.close_code) == ("server", 1006)
    async with bot.connect() as socket:
        assert (await receive(socket))["type"] == "EVENT"


async def test_open_and_socket_faults(bot: Bot, admin: SimulatorClient) -> None:
    await admin.fault(DingTalkOpenStatus(platform="dingtalk", times=1))
    status, body = await bot.open()
    assert (status, body["code"]) == (400, "systemError")
    await admin.fault(DingTalkOpenStatus(platform="dingtalk", status=503, body={"x": 1}, times=1))
    assert await bot.open() == (503, {"x": 1})
    await admin.fault(DiscoveryBadJson(platform="dingtalk", times=1))
    with pytest.raises(json.JSONDecodeError):
        await bot.open()
    await admin.fault(DiscoveryHang(platform="dingtalk", times=1))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await bot.open()
    await admin.fault(AcceptThenClose(platform="dingtalk", times=1))
    async with bot.connect() as socket:
        assert (await socket.receive(timeout=DEADLINE_S)).data == 1000
    await admin.fault(NoWsPong(platform="dingtalk", times=1))
    async with bot.connect() as socket:
        await socket.ping(b"lost")
        await socket.ping(b"answered")
        assert (await socket.receive(timeout=DEADLINE_S)).data == b"answered"


async def test_messages_to_people_and_groups(bot: Bot, admin: SimulatorClient) -> None:
    body = {"robotCode": APP, "userIds": ["u"], "msgKey": "sampleText", "msgParam": "{}"}
    status, sent = await bot.call("/v1.0/robot/oToMessages/batchSend", body)
    assert status == 200
    assert set(sent) == {"processQueryKey", "invalidStaffIdList", "flowControlledStaffIdList"}
    group = {"robotCode": APP, "openConversationId": "cid", "msgKey": "sampleText", "msgParam": "{}"}
    assert set((await bot.call("/v1.0/robot/groupMessages/send", group))[1]) == {"processQueryKey"}
    status, refused = await bot.call("/v1.0/robot/groupMessages/send", body)
    assert (status, refused["message"]) == (400, "missing openConversationId")
    assert (await bot.post("/v1.0/robot/oToMessages/batchSend", body))[0] == 401
    state = await admin.app_state("dingtalk", APP)
    assert [message.via for message in state.messages] == ["oToMessages", "groupMessages"]
    assert state.tokens_issued == 1


async def test_api_faults(bot: Bot, admin: SimulatorClient) -> None:
    group = {"robotCode": APP, "openConversationId": "cid", "msgKey": "sampleText", "msgParam": "{}"}
    await admin.fault(ApiError(platform="dingtalk", call="send", status=429, code="Throttling", times=1))
    assert (await bot.call("/v1.0/robot/groupMessages/send", group))[1]["code"] == "Throttling"
    await admin.fault(ApiError(platform="dingtalk", call="token", status=500, times=1))
    assert (await bot.post("/v1.0/oauth2/accessToken", {}))[0] == 500
    async with bot.connect() as socket:
        await admin.inject_dingtalk(DingTalkEvent(app=APP))
        path = json.loads((await receive(socket))["data"])["sessionWebhook"].removeprefix(bot.url)
    await admin.fault(ApiError(platform="dingtalk", status=200, code=130101, msg="too fast", times=1))
    assert (await bot.post(path, {"msgtype": "text"}))[1] == {"errcode": 130101, "errmsg": "too fast"}
    await admin.fault(ApiHang(platform="dingtalk", call="send", times=1))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await bot.post(path, {"msgtype": "text"})
    async with bot.session.post(f"{bot.url}{path}", data=b"no json") as response:
        assert (await response.json())["errcode"] == 40035
