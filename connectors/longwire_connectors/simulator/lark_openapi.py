"""Lark's REST calls that a bot needs: token, send, reply, and who am I."""

import secrets

import msgspec
from aiohttp import web

from longwire_connectors.simulator.answers import hang, json_answer, path_part, read_object
from longwire_connectors.simulator.apps import Verdict
from longwire_connectors.simulator.counters import SentMessage, keep
from longwire_connectors.simulator.fault_kinds import ApiError, ApiHang
from longwire_connectors.simulator.platform import Platform
from longwire_connectors.simulator.tickets import ExpiringTable, TokenBook

__all__ = ["LarkOpenApi", "open_id_of"]

UUID_LIFE_S = 3600.0
"""How long a message's ``uuid`` makes it idempotent (Lark document on sending)."""
MAX_UUID_CHARS = 50
RECEIVE_ID_TYPES = frozenset({"open_id", "user_id", "union_id", "email", "chat_id"})

INVALID_TOKEN = 99991663
"""Clients refresh their token once and retry (public code)."""
MISSING_TOKEN = 99991661
INVALID_FIELD = 99992402
"""«field validation failed»."""
APP_SECRET_INVALID = 10014
"""A wrong app id or secret at the token call: 10003 and 10014 are what the documents list."""
APP_ID_INVALID = 10003

Json = dict[str, object]


class LarkOpenApi:
    """Answers under ``/open-apis``.

    The HTTP status of an error code is 400 where no source says otherwise.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._tokens = TokenBook()
        self._sent: ExpiringTable[Json] = ExpiringTable(max_entries=100_000)

    async def token(self, request: web.Request) -> web.Response:
        """Answer ``auth/v3/tenant_access_token/internal``."""
        body = await _read(request)
        app, secret = str(body.get("app_id", "")), str(body.get("app_secret", ""))
        if (faulty := await self._faulty(app, call="token")) is not None:
            return faulty
        verdict = self._platform.apps.check(app, secret=secret)
        if verdict is not Verdict.ACCEPTED:
            code = APP_SECRET_INVALID if verdict is Verdict.MISMATCH else APP_ID_INVALID
            return json_answer({"code": code, "msg": "invalid param"}, status=400)
        fresh = f"t-{secrets.token_hex(20)}"
        token, expire = self._tokens.issue(app, fresh=fresh, now=self._platform.clock.now())
        self._platform.state(app).tokens_issued += token == fresh
        self._platform.given_out.append(token)
        return json_answer({"code": 0, "msg": "ok", "tenant_access_token": token, "expire": expire})

    async def bot_info(self, request: web.Request) -> web.Response:
        """Answer ``bot/v3/info``: the bot's own name and open_id."""
        app = self._app_of(request)
        if isinstance(app, web.Response):
            return app
        known = self._platform.apps.find(app)
        bot = {
            "activate_status": 2,
            "app_name": known.name if known else "",
            "avatar_url": "",
            "open_id": open_id_of(app),
        }
        return json_answer({"code": 0, "msg": "ok", "bot": bot})

    async def send(self, request: web.Request) -> web.Response:
        """Answer ``im/v1/messages``: a message to a user or chat."""
        id_type = request.query.get("receive_id_type", "open_id")
        body = await _read(request)
        target = str(body.get("receive_id", ""))
        if id_type not in RECEIVE_ID_TYPES or not target:
            return _refuse(INVALID_FIELD, "field validation failed: receive_id, receive_id_type")
        chat = target if id_type == "chat_id" else f"oc_{target}"
        return await self._send(
            request, body=body, target=target, via=f"send {id_type}", extra={"chat_id": chat}
        )

    async def reply(self, request: web.Request) -> web.Response:
        """Answer ``im/v1/messages/{message_id}/reply``."""
        body = await _read(request)
        parent = path_part(request, "message_id")
        extra: Json = {"chat_id": "oc_simulated", "root_id": parent, "parent_id": parent}
        if body.get("reply_in_thread") is True:
            extra["thread_id"] = f"omt_{parent.removeprefix('om_')}"
        return await self._send(request, body=body, target=parent, via="reply", extra=extra)

    async def _send(
        self, request: web.Request, *, body: Json, target: str, via: str, extra: Json
    ) -> web.Response:
        app = self._app_of(request)
        if isinstance(app, web.Response):
            return app
        if (faulty := await self._faulty(app, call="send")) is not None:
            return faulty
        if (refused := _check_message(body)) is not None:
            return refused
        now = self._platform.clock.now()
        uuid = str(body.get("uuid") or "")
        data = self._sent.get(f"{app} {uuid}", now=now) if uuid else None
        if data is None:
            data = {**_message_data(app, body=body, now=now), **extra}
            if uuid:
                self._sent.put(f"{app} {uuid}", value=data, expires_at=now + UUID_LIFE_S)
            message_id = str(data["message_id"])
            sent = SentMessage(at=now, via=via, message_id=message_id, target=target, body=body)
            keep(self._platform.state(app).messages, item=sent)
        return json_answer({"code": 0, "msg": "success", "data": data})

    def _app_of(self, request: web.Request) -> str | web.Response:
        """Return the app whose token the request carries, or the refusal."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            return _refuse(MISSING_TOKEN, "Missing access token for authorization.")
        app = self._tokens.owner(token, now=self._platform.clock.now())
        return app if app is not None else _refuse(INVALID_TOKEN, "Invalid access token for authorization.")

    async def _faulty(self, app: str, *, call: str) -> web.Response | None:
        wanted = ("any", call)
        await self._platform.slowed(app, step="api")
        if self._platform.fault(ApiHang, app, where=lambda fault: fault.call in wanted):
            return await hang(self._platform.stopping)
        fault = self._platform.fault(ApiError, app, where=lambda fault: fault.call in wanted)
        if fault is None:
            return None
        self._platform.state(app).api_errors += 1
        body = {"code": fault.code, "msg": fault.msg}
        return json_answer(body, status=fault.status, headers=fault.headers)


def open_id_of(app: str) -> str:
    """Return the open_id of an app's bot, always the same for the same app."""
    return f"ou_{app.removeprefix('cli_')}"


async def _read(request: web.Request) -> Json:
    try:
        return await read_object(request)
    except msgspec.MsgspecError:
        return {}


def _check_message(body: Json) -> web.Response | None:
    uuid, content = body.get("uuid"), body.get("content")
    if isinstance(uuid, str) and len(uuid) > MAX_UUID_CHARS:
        return _refuse(INVALID_FIELD, f"field validation failed: uuid is longer than {MAX_UUID_CHARS}")
    if not isinstance(body.get("msg_type"), str) or not _is_json(content):
        return _refuse(INVALID_FIELD, "field validation failed: msg_type, content (a JSON text)")
    return None


def _is_json(content: object) -> bool:
    if not isinstance(content, str):
        return False
    try:
        msgspec.json.decode(content)
    except msgspec.DecodeError:
        return False
    return True


def _message_data(app: str, *, body: Json, now: float) -> Json:
    created = str(int(now * 1000))
    return {
        "message_id": f"om_{secrets.token_hex(16)}",
        "msg_type": body["msg_type"],
        "create_time": created,
        "update_time": created,
        "deleted": False,
        "updated": False,
        "sender": {"id": app, "id_type": "app_id", "sender_type": "app", "tenant_key": "2ca1d211f64f6438"},
        "body": {"content": body["content"]},
    }


def _refuse(code: int, msg: str) -> web.Response:
    return json_answer({"code": code, "msg": msg}, status=400)
