"""DingTalk's REST calls that a bot needs: token, messages to people and groups, and session webhooks."""

import secrets
import uuid

import msgspec
from aiohttp import web

from longwire_connectors.simulator.answers import hang, json_answer, read_object
from longwire_connectors.simulator.apps import Verdict
from longwire_connectors.simulator.counters import SentMessage, keep
from longwire_connectors.simulator.dingtalk_gateway import error_body
from longwire_connectors.simulator.fault_kinds import ApiError, ApiHang
from longwire_connectors.simulator.platform import Platform
from longwire_connectors.simulator.tickets import ExpiringTable, TokenBook

__all__ = ["DingTalkOpenApi"]

SESSION_EXPIRED = 300001
"""errcode of a session webhook that has ended. Not established."""
BAD_PARAMETER = 40035
"""errcode of a webhook body without ``msgtype``. Not established."""

Json = dict[str, object]


class DingTalkOpenApi:
    """Answers under ``/v1.0`` and the session webhooks of injected messages."""

    def __init__(self, platform: Platform, *, host: str) -> None:
        self._platform = platform
        self._host = host
        self._tokens = TokenBook()
        self._sessions: ExpiringTable[str] = ExpiringTable(max_entries=200_000)

    def new_session(self, app: str, *, life_s: float) -> str:
        """Return the URL of a new session webhook, valid for ``life_s`` seconds."""
        session = secrets.token_hex(16)
        self._platform.given_out.append(session)
        self._sessions.put(session, value=app, expires_at=self._platform.clock.now() + life_s)
        return f"http://{self._host}/robot/sendBySession?session={session}"

    async def token(self, request: web.Request) -> web.Response:
        """Answer ``oauth2/accessToken``; 401 for bad credentials."""
        body = await _read(request)
        app, secret = str(body.get("appKey", "")), str(body.get("appSecret", ""))
        if (faulty := await self._faulty(app, call="token")) is not None:
            return faulty
        if self._platform.apps.check(app, secret=secret) is not Verdict.ACCEPTED:
            return json_answer(error_body("authFailed", "鉴权失败"), status=401)
        fresh = secrets.token_hex(16)
        token, expire = self._tokens.issue(app, fresh=fresh, now=self._platform.clock.now())
        self._platform.state(app).tokens_issued += token == fresh
        self._platform.given_out.append(token)
        return json_answer({"accessToken": token, "expireIn": expire})

    async def send_to_users(self, request: web.Request) -> web.Response:
        """Answer ``robot/oToMessages/batchSend``."""
        more: Json = {"invalidStaffIdList": [], "flowControlledStaffIdList": []}
        return await self._send(request, via="oToMessages", target_field="userIds", more=more)

    async def send_to_group(self, request: web.Request) -> web.Response:
        """Answer ``robot/groupMessages/send``."""
        return await self._send(request, via="groupMessages", target_field="openConversationId", more={})

    async def send_by_session(self, request: web.Request) -> web.Response:
        """Answer a session webhook: no token, and errcode instead of an HTTP status."""
        session = request.query.get("session", "")
        app = self._sessions.get(session, now=self._platform.clock.now())
        if app is None:
            return json_answer({"errcode": SESSION_EXPIRED, "errmsg": "session is invalid or expired"})
        if (faulty := await self._faulty(app, call="send", is_webhook=True)) is not None:
            return faulty
        body = await _read(request)
        if not isinstance(body.get("msgtype"), str):
            return json_answer({"errcode": BAD_PARAMETER, "errmsg": "msgtype is missing"})
        self._keep(app, via="sessionWebhook", message_id="", target=session, body=body)
        return json_answer({"errcode": 0, "errmsg": "ok"})

    async def _send(self, request: web.Request, *, via: str, target_field: str, more: Json) -> web.Response:
        token = request.headers.get("x-acs-dingtalk-access-token", "")
        app = self._tokens.owner(token, now=self._platform.clock.now())
        if app is None:
            return json_answer(error_body("InvalidAuthentication", "不合法的access_token"), status=401)
        if (faulty := await self._faulty(app, call="send")) is not None:
            return faulty
        body = await _read(request)
        missing = {"robotCode", target_field, "msgKey", "msgParam"} - body.keys()
        if missing:
            message = f"missing {', '.join(sorted(missing))}"
            return json_answer(error_body("invalidParameter", message), status=400)
        key = str(uuid.uuid4())
        self._keep(app, via=via, message_id=key, target=str(body[target_field]), body=body)
        return json_answer({"processQueryKey": key, **more})

    def _keep(self, app: str, *, via: str, message_id: str, target: str, body: Json) -> None:
        at = self._platform.clock.now()
        sent = SentMessage(at=at, via=via, message_id=message_id, target=target, body=body)
        keep(self._platform.state(app).messages, item=sent)

    async def _faulty(self, app: str, *, call: str, is_webhook: bool = False) -> web.Response | None:
        wanted = ("any", call)
        await self._platform.slowed(app, step="api")
        if self._platform.fault(ApiHang, app, where=lambda fault: fault.call in wanted):
            return await hang(self._platform.stopping)
        fault = self._platform.fault(ApiError, app, where=lambda fault: fault.call in wanted)
        if fault is None:
            return None
        self._platform.state(app).api_errors += 1
        body = (
            {"errcode": fault.code, "errmsg": fault.msg}
            if is_webhook
            else error_body(str(fault.code), fault.msg)
        )
        return json_answer(body, status=fault.status, headers=fault.headers)


async def _read(request: web.Request) -> Json:
    try:
        return await read_object(request)
    except msgspec.MsgspecError:
        return {}
