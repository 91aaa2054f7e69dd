"""A Lark client made of nothing but aiohttp, and the fixtures of the simulated Lark's tests."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from longwire_connectors.simulator import Simulator, SimulatorClient
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


@pytest.fixture(name="simulator")
async def lark_simulator() -> AsyncIterator[Simulator]:
    async with Simulator(time_scale=1000.0) as simulator:
        yield simulator


@pytest.fixture(name="admin")
async def simulator_admin(simulator: Simulator) -> AsyncIterator[SimulatorClient]:
    async with SimulatorClient(simulator.url) as client:
        yield client


@pytest.fixture(name="bot")
async def plain_bot(simulator: Simulator) -> AsyncIterator[Bot]:
    async with aiohttp.ClientSession() as session:
        yield Bot(simulator.url, session)
