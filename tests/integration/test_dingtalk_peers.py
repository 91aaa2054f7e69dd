"""The DingTalk connector against peers that the simulator does not play: frozen, broken, odd."""

import asyncio
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import sha1
from typing import Any

import pytest
from aiohttp import web

from fakes.host import FakeHost, FakeLink
from longwire_connectors.dingtalk.commands import RobotCommands
from longwire_connectors.dingtalk.connector import DingTalkConnector
from longwire_connectors.dingtalk.memory import Memory
from longwire_connectors.dingtalk.options import DingTalkOptions
from longwire_connectors.simulator import DingTalkEvent, Simulator, SimulatorClient
from longwire_connectors.simulator.fault_kinds import DiscoveryBadJson
from longwire_protocol.errors import CommandError, RetCode

DEADLINE_S = 30.0
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def connector_for(url: str, host: FakeHost | None = None) -> DingTalkConnector:
    options = DingTalkOptions(client_id="dingsim", client_secret="secret", api_base=url)
    connector = DingTalkConnector(options, host or FakeHost(platform="dingtalk"))
    connector.load()
    return connector


@asynccontextmanager
async def frozen_peer() -> AsyncIterator[tuple[str, asyncio.Event, bytearray]]:
    """Does the WebSocket handshake and nothing more; what it got after that is recorded."""
    greeted, got = asyncio.Event(), bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        key = request.lower().split(b"sec-websocket-key: ")[1].split(b"\r\n")[0]
        key = request[request.lower().index(key) :][: len(key)]
        accept = b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())  # noqa: S324
        writer.write(b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
        writer.write(b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        while chunk := await reader.read(1000):
            got.extend(chunk)
            greeted.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", greeted, got
    finally:
        server.close()
        await server.wait_closed()


async def test_a_frozen_peer_is_told_and_cut_within_two_seconds() -> None:
    async with (
        frozen_peer() as (url, pinged, got),
        Simulator() as simulator,
        SimulatorClient(simulator.url) as admin,
    ):
        grant = f'{{"endpoint": "{url}", "ticket": "t"}}'
        await admin.fault(DiscoveryBadJson(platform="dingtalk", body=grant))
        task = asyncio.create_task(connector_for(simulator.url).serve(FakeLink()))
        async with asyncio.timeout(DEADLINE_S):
            await pinged.wait()
        began, before = time.monotonic(), len(got)
        task.cancel()
        await asyncio.wait([task], timeout=DEADLINE_S)
        assert time.monotonic() - began < 2
        assert got[before] == 0x88  # a close frame


async def test_a_second_cancellation_cuts_at_once() -> None:
    async with (
        frozen_peer() as (url, pinged, _),
        Simulator() as simulator,
        SimulatorClient(simulator.url) as admin,
    ):
        grant = f'{{"endpoint": "{url}", "ticket": "t"}}'
        await admin.fault(DiscoveryBadJson(platform="dingtalk", body=grant))
        task = asyncio.create_task(connector_for(simulator.url).serve(FakeLink()))
        async with asyncio.timeout(DEADLINE_S):
            await pinged.wait()
        pinged.clear()
        began = time.monotonic()
        task.cancel()
        async with asyncio.timeout(DEADLINE_S):
            await pinged.wait()  # the close frame
        task.cancel()
        await asyncio.wait([task], timeout=DEADLINE_S)
        assert task.cancelled()
        assert time.monotonic() - began < 0.9


async def test_a_journal_that_stands_still_is_no_reason_to_leave_the_platform() -> None:
    class FullLink(FakeLink):
        def __init__(self) -> None:
            super().__init__()
            self.is_full = False
            self.freed = asyncio.Event()
            self.asked = asyncio.Event()

        async def room(self) -> None:
            if self.is_full:
                self.asked.set()
                await self.freed.wait()

    async with Simulator() as simulator, SimulatorClient(simulator.url) as admin:
        host, link = FakeHost(platform="dingtalk", link_timeout_s=0.3), FullLink()
        task = asyncio.create_task(connector_for(simulator.url, host).serve(link))
        async with asyncio.timeout(DEADLINE_S):
            await link.is_proven.wait()
            link.is_full = True
            await admin.inject_dingtalk(DingTalkEvent(app="dingsim", count=100))
            await link.asked.wait()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):  # three times the link timeout
                    await asyncio.shield(task)
            link.is_full = False
            link.freed.set()
            await link.wait_for_events(100)
        assert not task.done()
        task.cancel()
        await asyncio.wait([task], timeout=DEADLINE_S)
        assert (await admin.app_state("dingtalk", "dingsim")).connections_total == 1


@asynccontextmanager
async def canned(answers: dict[str, Any]) -> AsyncIterator[RobotCommands]:
    """Commands to paths that answer what is given; a text as it is, a map as JSON, `None` breaks off."""

    async def answer(request: web.Request) -> web.StreamResponse:
        given = answers[request.path]
        if given is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(given, int):
            return web.Response(status=given, headers={"Location": "/elsewhere"})
        return web.Response(text=given) if isinstance(given, str) else web.json_response(given)

    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    options = DingTalkOptions(client_id="c", client_secret="s", api_base=base)
    commands = RobotCommands(options, Memory(allows_http=True, bot=None))
    try:
        yield commands
    finally:
        await commands.close()
        await runner.cleanup()


TOKEN = "/v1.0/oauth2/accessToken"
PERSON = "/v1.0/robot/oToMessages/batchSend"
GOOD_TOKEN = {"accessToken": "t", "expireIn": 7200}
TO_A_PERSON = {"user": "u", "text": "x"}


@pytest.mark.parametrize(
    ("answers", "retcode", "code"),
    [
        ({TOKEN: {}}, RetCode.PLATFORM_UNREACHABLE, None),
        ({TOKEN: "<html>"}, RetCode.PLATFORM_UNREACHABLE, None),
        ({TOKEN: None}, RetCode.PLATFORM_UNREACHABLE, None),
        ({TOKEN: 307}, RetCode.PLATFORM_REFUSED, "307"),
        ({TOKEN: GOOD_TOKEN, PERSON: "[" * 300_000}, RetCode.DEADLINE_EXCEEDED, None),
        ({TOKEN: GOOD_TOKEN, PERSON: None}, RetCode.DEADLINE_EXCEEDED, None),
        ({TOKEN: GOOD_TOKEN, PERSON: 502}, RetCode.DEADLINE_EXCEEDED, None),
        (
            {TOKEN: GOOD_TOKEN, PERSON: {"invalidStaffIdList": ["u"]}},
            RetCode.PLATFORM_REFUSED,
            "invalidStaffId",
        ),
        (
            {TOKEN: GOOD_TOKEN, PERSON: {"flowControlledStaffIdList": ["u"]}},
            RetCode.PLATFORM_LIMITED,
            "flowControlledStaffId",
        ),
    ],
)
async def test_an_odd_answer_of_openapi_is_a_clear_error(
    answers: dict[str, Any], retcode: RetCode, code: str | None
) -> None:
    async with canned(answers) as commands:
        with pytest.raises(CommandError) as refusal:
            await commands.call("message.create", TO_A_PERSON, key=None)
    assert refusal.value.retcode == retcode
    if code is not None:
        assert refusal.value.data["platform_code"] == code


async def test_an_answer_without_a_key_is_a_success_without_an_id() -> None:
    async with canned({TOKEN: GOOD_TOKEN, PERSON: {"processQueryKey": ""}}) as commands:
        assert await commands.call("message.create", TO_A_PERSON, key=None) == {}


async def test_a_webhook_that_answers_no_errcode_leaves_the_effect_unknown() -> None:
    async with canned({"/hook": {"ok": True}}) as commands:
        with pytest.raises(CommandError) as refusal:
            await commands._api.post_webhook(f"{commands._api._base}/hook", {})
    assert refusal.value.retcode == RetCode.DEADLINE_EXCEEDED


def test_a_version_that_cannot_be_imported_lean_is_imported_plainly() -> None:
    script = """
import importlib, sys
real, tried = importlib.import_module, []
def refuses_once(name, package=None):
    if name == "dingtalk_stream.stream" and not tried:
        real("dingtalk_stream.frames")
        tried.append(name)
        raise RuntimeError("laid out otherwise")
    return real(name, package)
importlib.import_module = refuses_once
from types import SimpleNamespace
from longwire_connectors.dingtalk.connector import DingTalkConnector as C
C(C.declaration.options(client_id="a", client_secret="b"), SimpleNamespace(bot=None)).load()
assert tried and hasattr(sys.modules["dingtalk_stream"], "ChatbotMessage")
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
