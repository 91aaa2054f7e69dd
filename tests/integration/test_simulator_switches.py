"""What both simulators can be told to do to connections, driven by plain WebSocket clients."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from urllib.parse import quote_plus

import aiohttp
import pytest

from fakes.plain_lark import (
    APP,
    DEADLINE_S,
    Bot,
    lark_simulator,  # noqa: F401  a fixture
    ping,
    plain_bot,  # noqa: F401  a fixture
    receive,
    simulator_admin,  # noqa: F401  a fixture
)
from harness.waiting import until
from longwire_connectors.simulator import DingTalkEvent, LarkEvent, SimulatorClient
from longwire_connectors.simulator.fault_kinds import (
    DingTalkHandshakeStatus,
    DingTalkOpenStatus,
    Frozen,
    HandshakeHang,
    LarkConnectionLimit,
    LarkDiscoveryStatus,
    LarkHandshakeRefusal,
    Slow,
)
from longwire_connectors.simulator.link import BROKEN_FRAME

DELAY_S = 0.3


async def open_dingtalk(bot: Bot) -> str:
    """Return an address for one connection."""
    body = {"clientId": APP, "clientSecret": "s", "subscriptions": []}
    _, answer = await bot.post("/v1.0/gateway/connections/open", body)
    return f"{answer['endpoint']}?ticket={quote_plus(answer['ticket'])}"


async def test_a_frozen_connection_hears_nothing_sends_nothing_and_stays(
    bot: Bot, admin: SimulatorClient
) -> None:
    async with bot.connect() as socket:
        frozen = await admin.fault(Frozen(platform="lark"))
        await ping(socket)
        await socket.ping()
        await admin.inject_lark(LarkEvent(app=APP, is_redelivered=False))
        await until_sent(admin)
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.2)
        assert (await admin.app_state("lark", APP)).pings == 0
        await admin.clear_faults(frozen)
        await ping(socket)
        assert (await receive(socket)).headers["type"] == "pong"


async def until_sent(admin: SimulatorClient) -> None:
    async def sent() -> bool:
        return (await admin.app_state("lark", APP)).events_sent == 1

    await until(sent, what="the event is sent")


async def test_a_frozen_connection_answers_no_close_frame_and_ends_when_the_client_cuts_it(
    bot: Bot, admin: SimulatorClient
) -> None:
    await admin.fault(Frozen(platform="lark"))
    url = (await bot.discover())["data"]["URL"]
    socket = await bot.session.ws_connect(url, timeout=aiohttp.ClientWSTimeout(ws_close=0.2))
    await socket.close()
    assert socket.close_code == 1006

    async def ended() -> bool:
        return (await admin.app_state("lark", APP)).connections_open == 0

    await until(ended, what="it has ended")
    (connection,) = (await admin.app_state("lark", APP)).connections
    assert (connection.closed_by, connection.close_code) == ("client", 1000)


@pytest.mark.parametrize("platform", ["lark", "dingtalk"])
async def test_a_handshake_can_hang(bot: Bot, admin: SimulatorClient, platform: str) -> None:
    await admin.fault(HandshakeHang(platform="lark" if platform == "lark" else "dingtalk", times=1))
    url = (await bot.discover())["data"]["URL"] if platform == "lark" else await open_dingtalk(bot)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await bot.session.ws_connect(url)
    url = (await bot.discover())["data"]["URL"] if platform == "lark" else await open_dingtalk(bot)
    await (await bot.session.ws_connect(url)).close()


async def test_each_step_can_be_slow(bot: Bot, admin: SimulatorClient) -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for step in ("discovery", "handshake", "api"):
        await admin.fault(Slow(platform="lark", step=step, delay_s=DELAY_S, times=1))  # type: ignore[arg-type]
    async with bot.connect():
        assert loop.time() - begun >= 2 * DELAY_S
    begun = loop.time()
    await bot.token()
    assert loop.time() - begun >= DELAY_S
    begun = loop.time()
    await admin.fault(Slow(platform="dingtalk", step="discovery", delay_s=DELAY_S))
    await open_dingtalk(bot)
    assert loop.time() - begun >= DELAY_S


async def test_refusals_carry_their_code_and_headers(bot: Bot, admin: SimulatorClient) -> None:
    wait = {"Retry-After": "7"}
    await admin.fault(LarkDiscoveryStatus(platform="lark", status=429, code=99991400, headers=wait, times=1))
    path, credentials = "/callback/ws/endpoint", json.dumps({"AppID": APP, "AppSecret": "s"})
    async with bot.session.post(f"{bot.url}{path}", data=credentials) as response:
        body = await response.json()
        assert (response.status, body["code"], response.headers["Retry-After"]) == (429, 99991400, "7")
    await admin.fault(DingTalkOpenStatus(platform="dingtalk", status=429, headers=wait, times=1))
    async with bot.session.post(f"{bot.url}/v1.0/gateway/connections/open", data="{}") as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "7")
    refusal = LarkHandshakeRefusal(
        platform="lark", status=429, handshake_status=None, handshake_msg=None, autherrcode=None, headers=wait
    )
    await admin.fault(refusal)
    await admin.fault(DingTalkHandshakeStatus(platform="dingtalk", status=503, headers=wait))
    urls = {429: (await bot.discover())["data"]["URL"], 503: await open_dingtalk(bot)}
    for status, url in urls.items():
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await bot.session.ws_connect(url)
        assert refused.value.status == status
        assert refused.value.headers is not None
        assert refused.value.headers["Retry-After"] == "7"
    for app in (await admin.state()).lark[APP], (await admin.state()).dingtalk[APP]:
        assert app.handshakes_refused == 1


async def test_a_connection_limit_refuses_the_next_connection_in_both_places(
    bot: Bot, admin: SimulatorClient
) -> None:
    spare = (await bot.discover())["data"]["URL"]
    async with bot.connect():
        await admin.fault(LarkConnectionLimit(platform="lark", limit=1))
        assert (await bot.discover())["code"] == 1000040350
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await bot.session.ws_connect(spare)
        assert refused.value.headers is not None
        assert refused.value.headers["Handshake-Autherrcode"] == "1000040350"


async def test_a_connection_can_end_within_a_frame(bot: Bot, admin: SimulatorClient) -> None:
    url = (await bot.discover())["data"]["URL"]
    host, _, path = url.removeprefix("ws://").partition("/")
    reader, writer = await asyncio.open_connection(*host.split(":"))
    lines = [f"GET /{path} HTTP/1.1", f"Host: {host}", "Connection: Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]
    writer.write("\r\n".join(lines).encode())
    assert b"101" in await reader.readuntil(b"\r\n\r\n")
    assert await admin.drop("lark", app=APP, how="midframe") == 1
    async with asyncio.timeout(DEADLINE_S):
        assert await reader.read() == BROKEN_FRAME
    writer.close()
    (connection,) = (await admin.app_state("lark", APP)).connections
    assert (connection.closed_by, connection.close_code) == ("server", 1006)


async def test_messages_that_are_no_frames_are_sent_as_they_are(bot: Bot, admin: SimulatorClient) -> None:
    async with bot.connect() as socket:
        await admin.inject_lark(LarkEvent(app=APP, wire=b"\xff\x00garbage"))
        assert await socket.receive_bytes(timeout=DEADLINE_S) == b"\xff\x00garbage"
        await admin.inject_lark(LarkEvent(app=APP, wire_text="no binary"))
        assert await socket.receive_str(timeout=DEADLINE_S) == "no binary"
    async with bot.session.ws_connect(await open_dingtalk(bot)) as socket:
        await admin.inject_dingtalk(DingTalkEvent(app=APP, kind="raw", wire=b"\xff"))
        assert await socket.receive_bytes(timeout=DEADLINE_S) == b"\xff"
        await admin.inject_dingtalk(DingTalkEvent(app=APP, kind="ping", topic="KEEPALIVE"))
        frame = await socket.receive_json(timeout=DEADLINE_S)
        assert (frame["type"], frame["headers"]["topic"]) == ("SYSTEM", "KEEPALIVE")
        with suppress(TimeoutError):
            await socket.close()
