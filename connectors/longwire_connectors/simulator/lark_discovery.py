"""Lark's endpoint discovery: ``POST /callback/ws/endpoint``."""

import secrets
import uuid

import msgspec
from aiohttp import web

from longwire_connectors.simulator.answers import hang, json_answer, query, read_body
from longwire_connectors.simulator.apps import Verdict
from longwire_connectors.simulator.counters import AppState, keep
from longwire_connectors.simulator.fault_kinds import (
    ConfigValues,
    DiscoveryBadJson,
    DiscoveryHang,
    LarkClientConfig,
    LarkConnectionLimit,
    LarkDiscoveryCode,
    LarkDiscoveryStatus,
)
from longwire_connectors.simulator.lark_config import client_config
from longwire_connectors.simulator.platform import Platform
from longwire_connectors.simulator.tickets import ExpiringTable

__all__ = ["SERVICE_ID", "TOO_MANY_CONNECTIONS", "LarkDiscovery", "LarkGrant"]

SERVICE_ID = 33554678
"""``service_id`` of a captured URL; clients put it into their pings."""
TICKET_LIFE_S = 300.0
"""How long a Lark ticket opens a connection. Not established; long enough for the slowest SDK."""
MAX_CONNECTIONS = 50
"""Connections per app (Lark document on receiving events by long connection)."""

APP_ID_INVALID = 1000040346
"""«app_id is invalid», HTTP 200 (live probe in public code)."""
APP_SECRET_INVALID = 1000040345
"""What a wrong secret gets: «app_id or app_secret is invalid» (probes in public code)."""
TOO_MANY_CONNECTIONS = 1000040350
"""«the number of connections exceeded the limit», as a JSON code (mateclaw#86) and in the handshake."""

_REFUSALS = {
    Verdict.UNKNOWN_APP: (APP_ID_INVALID, "app_id is invalid"),
    Verdict.MISMATCH: (APP_SECRET_INVALID, "app_secret is invalid"),
}


class _Credentials(msgspec.Struct, kw_only=True):
    AppID: str = ""
    AppSecret: str = ""


class LarkGrant(msgspec.Struct, frozen=True):
    """What a URL stands for: the app, and the ClientConfig that its connection's pongs repeat."""

    app: str
    config: ConfigValues


class LarkDiscovery:
    """Gives out WebSocket URLs, each good for one connection."""

    def __init__(self, platform: Platform, *, host: str) -> None:
        self._platform = platform
        self._host = host
        self._tickets: ExpiringTable[LarkGrant] = ExpiringTable()

    async def answer(self, request: web.Request) -> web.Response:
        """Answer the request, with the platform's codes or as a fault wants it."""
        try:
            credentials = await read_body(request, _Credentials)
        except msgspec.MsgspecError:
            return json_answer({"code": 9499, "msg": "Bad Request"}, status=400)
        state = self._platform.state(credentials.AppID)
        state.discovery_calls += 1
        keep(state.discovery_times, item=self._platform.clock.now())
        self._platform.note("asked", credentials.AppID)
        faulty = await self._faulty_answer(credentials.AppID)
        return faulty if faulty is not None else self._judge(credentials, state=state)

    def redeem(self, ticket: str, access_key: str) -> LarkGrant | None:
        """Return what a ticket and its access key were given for; both are used up by this."""
        return self._tickets.take(f"{ticket} {access_key}", now=self._platform.clock.now())

    def has_room(self, app: str) -> bool:
        """Tell whether the app may have another connection."""
        fault = self._platform.fault(LarkConnectionLimit, app)
        return len(self._platform.links(app)) < (MAX_CONNECTIONS if fault is None else fault.limit)

    async def _faulty_answer(self, app: str) -> web.Response | None:
        fault = self._platform.fault
        await self._platform.slowed(app, step="discovery")
        if fault(DiscoveryHang, app):
            return await hang(self._platform.stopping)
        if status := fault(LarkDiscoveryStatus, app):
            body = {"code": status.code or status.status, "msg": status.msg}
            return json_answer(body, status=status.status, headers=status.headers)
        if code := fault(LarkDiscoveryCode, app):
            return _refuse(code.code, code.msg)
        if bad := fault(DiscoveryBadJson, app):
            return web.Response(text=bad.body, content_type="application/json")
        return None

    def _judge(self, credentials: _Credentials, *, state: AppState) -> web.Response:
        app = credentials.AppID
        refusal = _REFUSALS.get(self._platform.apps.check(app, secret=credentials.AppSecret))
        if refusal is None and not self.has_room(app):
            refusal = (TOO_MANY_CONNECTIONS, "the number of connections exceeded the limit")
        if refusal is not None:
            state.discovery_refused += 1
            return _refuse(*refusal)
        config = client_config(self._platform.fault(LarkClientConfig, app))
        data = {"URL": self._new_url(LarkGrant(app, config)), "ClientConfig": config}
        return json_answer({"code": 0, "msg": "success", "data": data})

    def _new_url(self, grant: LarkGrant) -> str:
        ticket, access_key = str(uuid.uuid4()), secrets.token_hex(16)
        expires_at = self._platform.clock.now() + TICKET_LIFE_S
        self._tickets.put(f"{ticket} {access_key}", value=grant, expires_at=expires_at)
        self._platform.given_out.extend((ticket, access_key))
        device_id = str(7 * 10**18 + secrets.randbelow(10**18))
        parts = query(
            fpid=493,
            aid=552564,
            device_id=device_id,
            access_key=access_key,
            service_id=SERVICE_ID,
            ticket=ticket,
        )
        return f"ws://{self._host}/ws/v2?{parts}"


def _refuse(code: int, msg: str) -> web.Response:
    return json_answer({"code": code, "msg": msg, "data": {"URL": ""}})
