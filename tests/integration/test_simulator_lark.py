"""The simulated Lark, driven by a plain WebSocket client."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import pytest

from longwire_connectors.simulator import LarkEvent, Simulator, SimulatorClient, platform
from longwire_connectors.simulator.deliveries import DeliveryBook
from longwire_connectors.simulator.errors import AdminRequestError
from longwire_connectors.simulator.fault_kinds import (
    AcceptThenClose,
    ApiError,
    ApiHang,
    DiscoveryBadJson,
    DiscoveryHang,
    LarkClientConfig,
    LarkDiscoveryCode,
    LarkDiscoveryStatus,
    LarkHandshakeRefusal,
    LarkNoPong,
    LarkPongConfig,
    NoWsPong,
)
from longwire_connectors.simulator.lark_frames import LarkFrame, decode, encode

APP = "cli_0123456789abcdef"
SECRET = "s"
DEADLINE_S = 10.0


class Bot:
    """A Lark client made of nothing but aiohttp."""

    def __init__(self, url: str, session: aiohttp.ClientSession, *, app: str = APP) -> None:
        self.url, self.session, self.app = url, session, app

    async def post(self, path: str, body: object, **more: object) -> tuple[int, dict]:
        data = json.dumps(body)
        async with self.session.post(f"{self.url}{path}", data=data, **more) as response:
            return response.status, await response.json(content_type=None)

    async def discover(self, secret: str = SECRET) -> dict:
        status, body = await self.post("/callback/ws/endpoint", {"AppID": self.app, "AppSecret": secret})
        return {"status": status, **body}

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        url = (await self.discover())["data"]["URL"]
        async with self.session.ws_connect(url, autoping=False) as socket:
            yield socket

    async def token(self) -> str:
        body = {"app_id": self.app, "app_secret": "s"}
        _, answer = await self.post("/open-apis/auth/v3/tenant_access_token/internal", body)
        return answer["tenant_access_token"]

    async def call(self, path: str, body: object) -> tuple[int, dict]:
        headers = {"Authorization": f"Bearer {await self.token()}"}
        return await self.post(f"/open-apis{path}", body, headers=headers)


async def receive(socket: aiohttp.ClientWebSocketResponse) -> LarkFrame:
    return decode(await socket.receive_bytes(timeout=DEADLINE_S))


async def ack(socket: aiohttp.ClientWebSocketResponse, frame: LarkFrame, payload: object = None) -> None:
    frame.payload = json.dumps(payload if payload is not None else {"code": 200}).encode()
    await socket.send_bytes(encode(frame))


async def ping(socket: aiohttp.ClientWebSocketResponse) -> None:
    await socket.send_bytes(encode(LarkFrame(method=0, service=33554678, headers={"type": "ping"})))


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await condition():  # noqa: ASYNC110  what it waits for is only seen by asking
            await asyncio.sleep(0.005)


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


async def test_discovery_answers_with_the_captured_config_and_a_url_for_one_connection(
    bot: Bot, admin: SimulatorClient
) -> None:
    answer = await bot.discover()
    assert (answer["status"], answer["code"]) == (200, 0)
    expected = {"PingInterval": 90, "ReconnectCount": -1, "ReconnectInterval": 90, "ReconnectNonce": 25}
    assert answer["data"]["ClientConfig"] == expected
    url = answer["data"]["URL"]
    async with bot.session.ws_connect(url):
        state = await admin.app_state("lark", APP)
        assert (state.connections_open, state.discovery_calls, len(state.discovery_times)) == (1, 1, 1)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await bot.session.ws_connect(url)
    assert refusal.value.headers is not None
    assert refusal.value.headers["Handshake-Status"] == "514"


async def test_wrong_secrets_and_unknown_apps_are_refused_with_a_code(bot: Bot) -> None:
    assert (await bot.discover("s"))["code"] == 0
    assert (await bot.discover("other"))["code"] == 1000040345
    async with Simulator(strict=True) as strict, SimulatorClient(strict.url) as admin:
        other = Bot(strict.url, bot.session)
        assert (await other.discover())["code"] == 1000040346
        await admin.register("lark", app=APP, secret="s", name="Bot")
        assert (await other.discover())["code"] == 0
        assert (await admin.app_state("lark", APP)).discovery_refused == 1


async def test_discovery_of_no_json_is_a_bad_request(bot: Bot) -> None:
    async with bot.session.post(f"{bot.url}/callback/ws/endpoint", data=b"{") as response:
        assert response.status == 400


async def test_a_ping_is_answered_with_the_client_config(bot: Bot, admin: SimulatorClient) -> None:
    async with bot.connect() as socket:
        await ping(socket)
        pong = await receive(socket)
        assert pong.headers == {"type": "pong"}
        assert json.loads(pong.payload or b"")["PingInterval"] == 90
        await socket.ping(b"x")
        assert (await socket.receive(timeout=DEADLINE_S)).type is aiohttp.WSMsgType.PONG
        state = await admin.app_state("lark", APP)
        assert (state.pings, state.pongs, state.ws_pings) == (1, 1, 1)


async def test_an_acked_event_is_not_pushed_again(bot: Bot, admin: SimulatorClient) -> None:
    async with bot.connect() as socket:
        (ids,) = await admin.inject_lark(LarkEvent(app=APP, text="hi"))
        frame = await receive(socket)
        assert set(frame.headers) >= {"type", "message_id", "sum", "seq", "trace_id"}
        assert json.loads(frame.payload or b"")["header"]["event_id"] == ids.event_id
        answer = base64.b64encode(b'{"toast":{}}').decode()
        await ack(socket, frame, {"code": 200, "data": answer})

        async def is_acked() -> bool:
            return (await admin.app_state("lark", APP)).acked == 1

        await until(is_acked)
        (record,) = await admin.deliveries("lark", app=APP)
        assert record.acked_at is not None
        assert (record.ack_code, record.ack_data, len(record.sent_at)) == (200, '{"toast":{}}', 1)
        assert record.message_id == ids.message_id


async def test_a_refused_event_climbs_the_ladder_with_fresh_event_ids(
    bot: Bot, admin: SimulatorClient
) -> None:
    async with bot.connect() as socket:
        await admin.inject_lark(LarkEvent(app=APP, has_fresh_event_ids=True))
        seen = []
        for _ in range(3):
            frame = await receive(socket)
            seen.append(json.loads(frame.payload or b"")["header"]["event_id"])
            await ack(socket, frame, {"code": 500})
        assert len(set(seen)) == 3
        state = await admin.app_state("lark", APP)
        assert state.redeliveries >= 2
        assert state.ack_codes == {500: 3}


async def test_redeliver_pushes_an_acked_event_again(bot: Bot, admin: SimulatorClient) -> None:
    async with bot.connect() as socket:
        (ids,) = await admin.inject_lark(LarkEvent(app=APP, parts=2))
        frames = [await receive(socket), await receive(socket)]
        await ack(socket, frames[-1])
        assert await admin.redeliver("lark", app=APP, identity=ids.message_id) == 1
        again = [await receive(socket), await receive(socket)]
        assert [frame.headers["message_id"] for frame in again] == [ids.frame_message_id] * 2


async def test_events_wait_for_a_connection_and_keep_their_order(bot: Bot, admin: SimulatorClient) -> None:
    await admin.inject_lark(LarkEvent(app=APP, text="{n}", count=1000))
    async with bot.connect() as socket:
        frames = [await receive(socket) for _ in range(1000)]
    contents = [json.loads(frame.payload or b"")["event"]["message"]["content"] for frame in frames]
    assert contents == [f'{{"text":"{number}"}}' for number in range(1000)]


async def test_events_come_at_their_rate(bot: Bot, admin: SimulatorClient) -> None:
    async with bot.connect() as socket:
        await admin.inject_lark(LarkEvent(app=APP, count=3, rate_per_s=50.0))
        for _ in range(3):
            await receive(socket)
        sent = [record.sent_at[0] for record in await admin.deliveries("lark")]
        assert sent[2] - sent[0] >= 0.039


async def test_several_connections_share_the_events(bot: Bot, admin: SimulatorClient) -> None:
    async with bot.connect() as first, bot.connect() as second:
        await admin.inject_lark(LarkEvent(app=APP, count=50))

        async def all_sent() -> bool:
            return (await admin.app_state("lark", APP)).events_sent == 50

        await until(all_sent)
        used = {record.connections[0] for record in await admin.deliveries("lark")}
        assert len(used) == 2
        assert (await admin.app_state("lark", APP)).connections_max_open == 2
        target = (await admin.app_state("lark", APP)).connections[0].id
        await admin.inject_lark(LarkEvent(app=APP, count=9, connection=target))
        await admin.inject_lark(LarkEvent(app=APP, connection="gone"))

        async def bound_sent() -> bool:
            return (await admin.app_state("lark", APP)).events_sent == 59

        await until(bound_sent)
        bound = (await admin.deliveries("lark"))[50:59]
        assert {record.connections[0] for record in bound} == {target}
        assert (await admin.app_state("lark", APP)).dropped == 1
        del first, second


async def test_the_fifty_first_connection_is_refused(bot: Bot) -> None:
    url = (await bot.discover())["data"]["URL"]
    sockets = [await bot.session.ws_connect((await bot.discover())["data"]["URL"]) for _ in range(50)]
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await bot.session.ws_connect(url)
    assert refusal.value.headers is not None
    assert refusal.value.headers["Handshake-Autherrcode"] == "1000040350"
    assert (await bot.discover())["code"] == 1000040350
    for socket in sockets:
        await socket.close()


async def test_garbage_is_counted_and_the_connection_goes_on(bot: Bot, admin: SimulatorClient) -> None:
    async with bot.connect() as socket:
        await socket.send_bytes(b"garbage")
        await socket.send_str("text")
        await socket.send_bytes(encode(LarkFrame(method=0, service=1, headers={"type": "pong"})))
        await socket.send_bytes(encode(LarkFrame(method=1, service=1, headers={}, payload=b"?")))
        await ack(socket, LarkFrame(method=1, service=1, headers={"message_id": "nobody's"}))
        await socket.pong(b"unasked")
        await ping(socket)
        await receive(socket)
        state = await admin.app_state("lark", APP)
        assert (state.bad_frames_in, state.ack_outcomes) == (4, {"unknown": 1})


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_dropped_connections_are_noted_with_who_ended_them(
    bot: Bot, admin: SimulatorClient, how: str
) -> None:
    async with bot.connect() as socket:
        assert await admin.drop("lark", app=APP, how=how, code=1011) == 1
        message = await socket.receive(timeout=DEADLINE_S)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)

        async def is_closed() -> bool:
            return (await admin.app_state("lark", APP)).connections_open == 0

        await until(is_closed)
        (connection,) = (await admin.app_state("lark", APP)).connections
        expected = 1011 if how == "close" else 1006
        assert (connection.closed_by, connection.close_code) == ("server", expected)
        assert connection.closed_at is not None


async def test_a_client_that_vanishes_is_noted(bot: Bot, admin: SimulatorClient) -> None:
    async with bot.connect() as socket:
        transport = socket.get_extra_info("socket")
        assert transport is not None
        socket._response.connection.transport.abort()

        async def is_closed() -> bool:
            return (await admin.app_state("lark", APP)).connections_open == 0

        await until(is_closed)
    (connection,) = (await admin.app_state("lark", APP)).connections
    assert (connection.closed_by, connection.close_code) == ("client", 1006)


async def test_leaving_the_simulator_closes_every_connection_with_1000() -> None:
    async with aiohttp.ClientSession() as session:
        async with Simulator() as simulator:
            bot = Bot(simulator.url, session)
            url = (await bot.discover())["data"]["URL"]
            socket = await session.ws_connect(url)
            reader = asyncio.ensure_future(socket.receive())
        message = await reader
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1000)


async def test_discovery_faults(bot: Bot, admin: SimulatorClient) -> None:
    await admin.fault(LarkDiscoveryStatus(platform="lark", status=503, times=1))
    assert (await bot.discover())["status"] == 503
    await admin.fault(LarkDiscoveryCode(platform="lark", code=1000040350, msg="limit", times=1))
    assert (await bot.discover())["code"] == 1000040350
    await admin.fault(LarkClientConfig(platform="lark", values={"PingInterval": 0}, times=1))
    assert (await bot.discover())["data"]["ClientConfig"]["PingInterval"] == 0
    await admin.fault(DiscoveryBadJson(platform="lark", times=1))
    with pytest.raises(json.JSONDecodeError):
        await bot.discover()
    assert (await bot.discover())["code"] == 0


@pytest.mark.parametrize(
    ("fault", "path"),
    [
        (DiscoveryHang(platform="lark"), "/callback/ws/endpoint"),
        (ApiHang(platform="lark"), "/open-apis/auth/v3/tenant_access_token/internal"),
    ],
)
async def test_hanging_requests_never_answer_and_do_not_delay_the_end(
    fault: DiscoveryHang | ApiHang, path: str
) -> None:
    async with aiohttp.ClientSession() as session:
        async with Simulator() as simulator, SimulatorClient(simulator.url) as admin:
            await admin.fault(msgspec.structs.replace(fault, times=2))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1), session.post(simulator.url + path, data=b"{}"):
                    pass

            async def ask() -> int:
                async with session.post(simulator.url + path, data=b"{}") as response:
                    return response.status

            async def has_bitten() -> bool:
                return await admin.faults() == []

            left = asyncio.ensure_future(ask())
            await until(has_bitten)
        assert await left == 503


async def test_handshake_faults(bot: Bot, admin: SimulatorClient) -> None:
    refusal = LarkHandshakeRefusal(
        platform="lark", status=403, handshake_status=403, autherrcode=None, times=1
    )
    await admin.fault(refusal)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with bot.connect():
            pass
    assert refused.value.status == 403
    assert refused.value.headers is not None
    assert "Handshake-Autherrcode" not in refused.value.headers
    await admin.fault(AcceptThenClose(platform="lark", code=1011, times=1))
    async with bot.connect() as socket:
        message = await socket.receive(timeout=DEADLINE_S)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1011)
    assert (await admin.app_state("lark", APP)).handshakes_refused == 1


async def test_pong_faults(bot: Bot, admin: SimulatorClient) -> None:
    await admin.fault(LarkPongConfig(platform="lark", is_empty=True, times=1))
    await admin.fault(LarkPongConfig(platform="lark", values={"ReconnectCount": 1}, times=1))
    await admin.fault(LarkNoPong(platform="lark", times=1))
    async with bot.connect() as socket:
        for _ in range(3):
            await ping(socket)
        assert json.loads((await receive(socket)).payload or b"")["ReconnectCount"] == 1
        assert (await receive(socket)).payload is None
        await admin.fault(NoWsPong(platform="lark", times=1))
        await socket.ping(b"lost")
        await socket.ping(b"answered")
        assert (await socket.receive(timeout=DEADLINE_S)).data == b"answered"


async def test_messages_are_sent_once_per_uuid_and_kept(bot: Bot, admin: SimulatorClient) -> None:
    body = {"receive_id": "oc_1", "msg_type": "text", "content": '{"text":"a"}', "uuid": "u1"}
    path = "/im/v1/messages?receive_id_type=chat_id"
    first = await bot.call(path, body)
    again = await bot.call(path, body)
    assert first == again
    assert first[1]["data"]["chat_id"] == "oc_1"
    reply = {"msg_type": "text", "content": '{"text":"b"}', "reply_in_thread": True}
    plain = {"msg_type": "text", "content": "{}"}
    assert "thread_id" not in (await bot.call("/im/v1/messages/om_1/reply", plain))[1]["data"]
    _, answer = await bot.call("/im/v1/messages/om_1/reply", reply)
    assert (answer["data"]["parent_id"], answer["data"]["thread_id"]) == ("om_1", "omt_1")
    _, another = await bot.call("/im/v1/messages/om_1/reply", reply)
    assert another["data"]["message_id"] != answer["data"]["message_id"]
    state = await admin.app_state("lark", APP)
    assert [(sent.via, sent.target) for sent in state.messages] == [
        ("send chat_id", "oc_1"),
        ("reply", "om_1"),
        ("reply", "om_1"),
        ("reply", "om_1"),
    ]
    assert state.messages[0].body == body
    assert state.tokens_issued == 1


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("/im/v1/messages?receive_id_type=nothing", {}),
        ("/im/v1/messages", {"receive_id": ""}),
        ("/im/v1/messages", {"uuid": "u" * 51}),
        ("/im/v1/messages", {"content": "not json"}),
        ("/im/v1/messages", {"content": {"text": "an object"}}),
        ("/im/v1/messages", {"msg_type": None}),
    ],
)
async def test_messages_with_wrong_fields_are_refused(bot: Bot, path: str, change: dict) -> None:
    body = {"receive_id": "ou_1", "msg_type": "text", "content": "{}", **change}
    status, answer = await bot.call(path, body)
    assert (status, answer["code"]) == (400, 99992402)


async def test_tokens_are_checked(bot: Bot) -> None:
    info = f"{bot.url}/open-apis/bot/v3/info"
    for headers, code in (({}, 99991661), ({"Authorization": "Bearer t-wrong"}, 99991663)):
        async with bot.session.get(info, headers=headers) as response:
            assert (response.status, (await response.json())["code"]) == (400, code)
        status, answer = await bot.post("/open-apis/im/v1/messages", {"receive_id": "x"}, headers=headers)
        assert (status, answer["code"]) == (400, code)
    headers = {"Authorization": f"Bearer {await bot.token()}"}
    async with bot.session.get(info, headers=headers) as response:
        answer = await response.json()
    assert answer["bot"]["open_id"] == "ou_0123456789abcdef"
    wrong = {"app_id": APP, "app_secret": "wrong"}
    path = "/open-apis/auth/v3/tenant_access_token/internal"
    assert (await bot.post(path, wrong))[1]["code"] == 10014
    async with bot.session.post(f"{bot.url}{path}", data=b"{") as response:
        assert (await response.json())["code"] == 10003


async def test_api_faults_carry_status_code_and_headers(bot: Bot, admin: SimulatorClient) -> None:
    limit = {"x-ogw-ratelimit-reset": "3"}
    await admin.fault(
        ApiError(platform="lark", call="send", status=429, code=99991400, headers=limit, times=1)
    )
    body = {"receive_id": "oc_1", "msg_type": "text", "content": "{}"}
    headers = {"Authorization": f"Bearer {await bot.token()}"}
    url = f"{bot.url}/open-apis/im/v1/messages?receive_id_type=chat_id"
    async with bot.session.post(url, json=body, headers=headers) as response:
        assert (response.status, response.headers["x-ogw-ratelimit-reset"]) == (429, "3")
    await admin.fault(ApiError(platform="lark", call="token", code=99991663, times=1))
    path = "/open-apis/auth/v3/tenant_access_token/internal"
    assert (await bot.post(path, {"app_id": APP, "app_secret": "s"}))[1]["code"] == 99991663
    assert (await admin.app_state("lark", APP)).api_errors == 2


async def test_the_admin_plane_refuses_precisely(bot: Bot, admin: SimulatorClient) -> None:
    status, answer = await bot.post("/_sim/lark/events", {"app": APP, "txet": "typo"})
    assert status == 400
    assert "txet" in answer["error"]
    with pytest.raises(AdminRequestError, match="no fault 'fault-9'"):
        await admin.clear_faults("fault-9")
    assert (await bot.post("/_sim/slack/redeliver", {"app": APP, "id": "x"}))[0] == 404
    with pytest.raises(RuntimeError, match="async with"):
        await SimulatorClient(bot.url).state()
    fault_id = await admin.fault(LarkNoPong(platform="lark"))
    (entry,) = await admin.faults()
    assert entry.fault == {"name": "no_pong", "platform": "lark", "app": "*", "for_s": None, "times": None}
    assert await admin.clear_faults(fault_id) == 1
    assert await admin.clear_faults() == 0


async def test_a_full_book_is_an_explicit_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "DeliveryBook", lambda: DeliveryBook(max_unfinished=2))
    monkeypatch.setattr(platform, "MAX_STATES", 1)
    async with Simulator() as simulator, SimulatorClient(simulator.url) as admin:
        with pytest.raises(AdminRequestError, match="no room for 3") as refusal:
            await admin.inject_lark(LarkEvent(app=APP, count=3))
        assert refusal.value.status == 429
        assert await admin.deliveries("lark") == []
        await admin.inject_lark(LarkEvent(app=APP))
        await admin.inject_lark(LarkEvent(app="another"))
        state = await admin.state()
        assert {app: counts.events_injected for app, counts in state.lark.items()} == {APP: 1, "": 1}


async def test_a_client_that_reads_nothing_holds_up_neither_others_nor_the_end(bot: Bot) -> None:
    async with Simulator() as simulator, SimulatorClient(simulator.url) as admin:
        frozen = Bot(simulator.url, bot.session)
        healthy = Bot(simulator.url, bot.session, app="cli_healthy")
        async with frozen.connect() as socket, healthy.connect() as other:
            transport = socket._response.connection.transport
            transport.pause_reading()
            await admin.inject_lark(LarkEvent(app=APP, count=600, raw_text="x" * 65536))
            await admin.inject_lark(LarkEvent(app="cli_healthy"))
            await ack(other, await receive(other))

            async def is_full() -> bool:
                phases = [record.phase.value for record in await admin.deliveries("lark", app=APP)]
                return phases.count("waiting") > 200

            await until(is_full)
            async with asyncio.timeout(5.0):
                assert await admin.drop("lark", app=APP) == 1
            assert (await admin.app_state("lark", APP)).connections_open == 0
            transport.abort()


async def test_a_taken_port_is_an_error_and_a_free_one_is_shown() -> None:
    async with Simulator() as simulator:
        assert simulator.url == f"http://127.0.0.1:{simulator.port}"
        with pytest.raises(OSError, match="in use"):
            async with Simulator(port=simulator.port):
                pass
