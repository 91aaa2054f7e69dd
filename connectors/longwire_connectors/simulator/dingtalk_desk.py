"""What every REST call of the simulated DingTalk begins with: whose token, which fault, which limit."""

import secrets
from collections import deque
from typing import Any

import msgspec
from aiohttp import web

from longwire_connectors.simulator.answers import hang, json_answer, read_object
from longwire_connectors.simulator.counters import ApiCall, keep
from longwire_connectors.simulator.dingtalk_gateway import error_body
from longwire_connectors.simulator.fault_kinds import ApiError, ApiHang, ApiName, DingTalkRates
from longwire_connectors.simulator.platform import Platform
from longwire_connectors.simulator.tickets import ExpiringTable, TokenBook

__all__ = ["Desk", "Json", "error", "read_json", "refused", "texts"]

TOKEN_HEADER = "x-acs-dingtalk-access-token"  # noqa: S105  a name
BAD_TOKEN = 40014
"""errcode of the old host for a token that is not valid."""
TOO_FAST_OLD = 90018
"""errcode of the old host for more than the app's requests a second."""
PENALTY = 130101
"""errcode of a webhook over 20 messages a minute."""
WINDOW_S = 60.0

Json = dict[str, Any]


class Desk:
    """Tokens, faults, limits and records of the REST calls of all apps."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self._tokens = TokenBook()
        self._lately: ExpiringTable[deque[float]] = ExpiringTable()
        self._barred: ExpiringTable[bool] = ExpiringTable()

    def issue_token(self, app: str) -> tuple[str, int]:
        """Return an app's token and the seconds it has left."""
        fresh = secrets.token_hex(16)
        token, expire = self._tokens.issue(app, fresh=fresh, now=self.platform.clock.now())
        self.platform.state(app).tokens_issued += token == fresh
        self.platform.given_out.append(token)
        return token, expire

    async def enter(self, request: web.Request, *, call: ApiName, is_old: bool = False) -> str | web.Response:
        """Return whose call it is, or the answer that refuses it."""
        token = request.query.get("access_token", "") if is_old else request.headers.get(TOKEN_HEADER, "")
        app = self._tokens.owner(token, now=self.platform.clock.now())
        if app is None:
            if is_old:
                return json_answer(error(BAD_TOKEN, "不合法的access_token"))
            return refused("InvalidAuthentication", "不合法的access_token", status=401)
        if (faulty := await self.faulty(app, call=call)) is not None:
            return faulty
        rates = self.platform.fault(DingTalkRates, app)
        if rates is not None and self._is_over(app, request.path, most=rates.per_second, within_s=1.0):
            self.platform.state(app).limited += 1
            if is_old:
                return json_answer(error(TOO_FAST_OLD, "调用频率过高"))
            return refused("Forbidden.AccessDenied.QpsLimitForAppkeyAndApi", "qps limited", status=403)
        return app

    def bar(self, app: str, session: str) -> web.Response | None:
        """Return the refusal of a webhook's message over its limit, and for ten minutes after it."""
        rates, now = self.platform.fault(DingTalkRates, app), self.platform.clock.now()
        if rates is None:
            return None
        if self._barred.get(session, now=now) is None:
            if not self._is_over(app, session, most=rates.per_minute, within_s=WINDOW_S):
                return None
            self._barred.put(session, value=True, expires_at=now + rates.penalty_s)
        self.platform.state(app).limited += 1
        return json_answer(error(PENALTY, "send too fast, exceed 20 times per minute"))

    async def faulty(self, app: str, *, call: ApiName, is_webhook: bool = False) -> web.Response | None:
        """Return the answer that a fault wants, `None` for none."""
        wanted = ("any", call)
        await self.platform.slowed(app, step="api")
        if self.platform.fault(ApiHang, app, where=lambda fault: fault.call in wanted):
            return await hang(self.platform.stopping)
        fault = self.platform.fault(ApiError, app, where=lambda fault: fault.call in wanted)
        if fault is None:
            return None
        self.platform.state(app).api_errors += 1
        body = error(fault.code, fault.msg) if is_webhook else error_body(str(fault.code), fault.msg)
        return json_answer(body, status=fault.status, headers=fault.headers)

    def record(self, app: str, call: ApiName, *, target: str, body: Json) -> None:
        """Note a call that was taken, other than a message."""
        at = self.platform.clock.now()
        taken = ApiCall(at=at, call=call, target=target, code=0, body=body)
        keep(self.platform.state(app).api_calls, item=taken)

    def _is_over(self, app: str, what: str, *, most: int, within_s: float) -> bool:
        """Count a call, and tell whether there were more than `most` of them lately."""
        now = self.platform.clock.now()
        name = f"{app} {what}"
        lately = self._lately.get(name, now=now) or deque()
        self._lately.put(name, value=lately, expires_at=now + within_s)
        while lately and lately[0] <= now - within_s:
            lately.popleft()
        if len(lately) >= most:
            return True
        lately.append(now)
        return False


def error(code: int | str, message: str) -> Json:
    """Return an answer of the old host and of webhooks; 0 is success."""
    return {"errcode": code, "errmsg": message}


def refused(code: str, message: str, *, status: int = 400) -> web.Response:
    """Return a refusal of the new host."""
    return json_answer(error_body(code, message), status=status)


async def read_json(request: web.Request) -> Json:
    """Return a request's JSON object; an empty one if it has none."""
    try:
        return await read_object(request)
    except msgspec.MsgspecError:
        return {}


def texts(given: object) -> list[str]:
    """Return an array of texts; an empty one for anything else."""
    try:
        return msgspec.convert(given, list[str])
    except msgspec.ValidationError:
        return []
