"""The DingTalk connector, told to leave by a server that still has something to say (scenario C3)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSMsgType, web

from fakes.host import FakeHost, FakeLink
from longwire_connectors.dingtalk.connector import DingTalkConnector
from longwire_connectors.dingtalk.options import DingTalkOptions
from longwire_protocol.link import Fault

DEADLINE_S = 30.0
ROBOT = "/v1.0/im/bot/messages/get"


def frame(kind: str, topic: str, name: str, data: dict[str, Any]) -> str:
    headers = {"contentType": "application/json", "messageId": name, "topic": topic}
    return json.dumps({"specVersion": "1.0", "type": kind, "headers": headers, "data": json.dumps(data)})


def message(name: str) -> str:
    data = {
        "msgId": name,
        "conversationId": "cid==",
        "conversationType": "1",
        "senderId": "someone",
        "msgtype": "text",
        "text": {"content": name},
    }
    return frame("CALLBACK", ROBOT, name, data)


class Peer:
    """Delivers, says «disconnect», delivers once more, and listens; `heard` is what it was answered."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.is_answered = asyncio.Event()
        self.close_code: int | None = None

    async def open(self, request: web.Request) -> web.Response:
        endpoint = f"ws://{request.host}/connect"
        return web.json_response({"endpoint": endpoint, "ticket": "t"})

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for text in (message("before"), frame("SYSTEM", "disconnect", "bye", {}), message("after")):
            await socket.send_str(text)
        async for each in socket:
            assert each.type is WSMsgType.TEXT
            self.heard.append(json.loads(each.data)["headers"]["messageId"])
            if self.heard[-1] == "bye":
                self.is_answered.set()
        self.close_code = socket.close_code
        return socket


@asynccontextmanager
async def listening(peer: Peer) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/v1.0/gateway/connections/open", peer.open)
    app.router.add_get("/connect", peer.connect)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_what_came_before_a_disconnect_is_answered_and_what_still_comes_is_not_lost() -> None:
    peer, link = Peer(), FakeLink(stores=False)
    async with listening(peer) as url:
        options = DingTalkOptions(client_id="dingsim", client_secret="secret", api_base=url)
        connector = DingTalkConnector(options, FakeHost(platform="dingtalk"))
        connector.load()
        serving = asyncio.create_task(connector.serve(link), name="serve")
        async with asyncio.timeout(DEADLINE_S):
            await peer.is_answered.wait()
            link.storing.set()
            failure = await serving
        await connector.close()
    assert (failure.fault, failure.reason) == (Fault.HANDOVER, "platform_handover")
    assert sorted(event.message_id or "" for event in link.events) == ["after", "before"]
    assert peer.heard[:2] == ["bye", "before"]
    assert peer.close_code == 1000


async def test_a_disconnect_is_obeyed_though_nothing_can_be_stored() -> None:
    peer, link = Peer(), FakeLink(stores=False)
    async with listening(peer) as url:
        options = DingTalkOptions(client_id="dingsim", client_secret="secret", api_base=url)
        connector = DingTalkConnector(options, FakeHost(platform="dingtalk"))
        connector.load()
        async with asyncio.timeout(DEADLINE_S):
            failure = await connector.serve(link)
        await connector.close()
    assert failure.fault is Fault.HANDOVER
    assert peer.heard == ["bye"]
