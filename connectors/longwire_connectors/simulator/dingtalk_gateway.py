"""DingTalk's ``POST /v1.0/gateway/connections/open``: credentials in, endpoint and ticket out."""

import uuid

import msgspec
from aiohttp import web

from longwire_connectors.simulator.answers import hang, json_answer, read_body
from longwire_connectors.simulator.apps import Verdict
from longwire_connectors.simulator.counters import keep
from longwire_connectors.simulator.fault_kinds import DingTalkOpenStatus, DiscoveryBadJson, DiscoveryHang
from longwire_connectors.simulator.platform import Platform
from longwire_connectors.simulator.tickets import ExpiringTable

__all__ = ["DingTalkGateway", "Grant", "error_body"]


class _Subscription(msgspec.Struct, kw_only=True):
    type: str
    topic: str


class _Open(msgspec.Struct, kw_only=True, rename="camel"):
    client_id: str = ""
    client_secret: str = ""
    subscriptions: list[_Subscription] = []


class Grant(msgspec.Struct, frozen=True):
    """What a ticket stands for; a topic is written ``type topic``, as ``EVENT *``."""

    app: str
    topics: frozenset[str]


class DingTalkGateway:
    """Gives out tickets, each good for one connection within 90 s."""

    def __init__(self, platform: Platform, *, host: str) -> None:
        self._platform = platform
        self._endpoint = f"ws://{host}/connect"
        self._tickets: ExpiringTable[Grant] = ExpiringTable()

    async def answer(self, request: web.Request) -> web.Response:
        """Answer the request, or as a fault wants it: 401 for bad credentials, 400 for what is no request."""
        try:
            wanted = await read_body(request, _Open)
        except msgspec.MsgspecError:
            return json_answer(error_body("InvalidParameter", "请求参数不合法"), status=400)
        app, now = wanted.client_id, self._platform.clock.now()
        state = self._platform.state(app)
        state.discovery_calls += 1
        keep(state.discovery_times, item=now)
        self._platform.note("asked", app)
        if (faulty := await self._faulty_answer(app)) is not None:
            return faulty
        if self._platform.apps.check(app, secret=wanted.client_secret) is not Verdict.ACCEPTED:
            state.discovery_refused += 1
            return json_answer(error_body("authFailed", "鉴权失败"), status=401)
        topics = frozenset(f"{entry.type} {entry.topic}" for entry in wanted.subscriptions)
        ticket = str(uuid.uuid1())
        self._platform.given_out.append(ticket)
        expires_at = now + self._platform.timings.dingtalk_ticket_life_s
        self._tickets.put(ticket, value=Grant(app, topics), expires_at=expires_at)
        return json_answer({"endpoint": self._endpoint, "ticket": ticket})

    def redeem(self, ticket: str) -> Grant | None:
        """Return what a ticket stands for and use it up; None if it is wrong, used or too old."""
        return self._tickets.take(ticket, now=self._platform.clock.now())

    async def _faulty_answer(self, app: str) -> web.Response | None:
        fault = self._platform.fault
        await self._platform.slowed(app, step="discovery")
        if fault(DiscoveryHang, app):
            return await hang(self._platform.stopping)
        if status := fault(DingTalkOpenStatus, app):
            body = status.body if status.body is not None else error_body("systemError", "系统错误")
            return json_answer(body, status=status.status, headers=status.headers)
        if bad := fault(DiscoveryBadJson, app):
            return web.Response(text=bad.body, content_type="application/json")
        return None


def error_body(code: str, message: str) -> dict[str, object]:
    """Return an error in the shape seen in AstrBot#1628."""
    return {"requestid": str(uuid.uuid4()).upper(), "code": code, "message": message}
