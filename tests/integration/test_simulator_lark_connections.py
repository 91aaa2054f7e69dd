"""The simulated Lark's discovery and connections, driven by a plain WebSocket client."""

import asyncio
import json

import aiohttp
import msgspec
import pytest

from fakes.plain_lark import (
    APP,
    DEADLINE_S,
    Bot,
    ack,
    lark_simulator,  # noqa: F401  a fixture
    ping,
    plain_bot,  # noqa: F401  a fixture
    receive,
    simulator_admin,  # noqa: F401  a fixture
)
from harness.waiting import until
from longwire_connectors.simulator import Simulator, SimulatorClient
from longwire_connectors.simulator.fault_kinds import (
    AcceptThenClose,
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
from longwire_connectors.simulator.lark_frames import LarkFrame, encode


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


async def test_a_taken_port_is_an_error_and_a_free_one_is_shown() -> None:
    async with Simulator() as simulator:
        assert simulator.url == f"http://127.0.0.1:{simulator.port}"
        with pytest.raises(OSError, match="in use"):
            async with Simulator(port=simulator.port):
                pass
