"""Lark's REST calls that a bot needs first: token, who am I, send, reply."""

import secrets

from aiohttp import web

from longwire_connectors.simulator.answers import json_answer, path_part
from longwire_connectors.simulator.apps import Verdict
from longwire_connectors.simulator.counters import SentMessage, keep
from longwire_connectors.simulator.lark_cards import LarkCards
from longwire_connectors.simulator.lark_gate import Json, LarkGate, Refusal, read_json, refuse
from longwire_connectors.simulator.lark_media import LarkMedia
from longwire_connectors.simulator.lark_messages import LarkMessages
from longwire_connectors.simulator.lark_store import Store, Stored, decoded
from longwire_connectors.simulator.platform import Platform
from longwire_connectors.simulator.tickets import ExpiringTable

__all__ = ["LarkOpenApi", "open_id_of"]

UUID_LIFE_S = 3600.0
"""How long a message's ``uuid`` makes it idempotent (Lark document on sending)."""
MAX_UUID_CHARS = 50
RECEIVE_ID_TYPES = frozenset({"open_id", "user_id", "union_id", "email", "chat_id"})

CONTENT_BYTES = {"text": 150 * 1024, "post": 30 * 1024, "interactive": 30 * 1024}
"""The most that a message of each kind may say (Lark document on sending)."""
CONTENT_TOO_LONG = 230025

APP_SECRET_INVALID = 10014
"""A wrong app id or secret at the token call: 10003 and 10014 are what the documents list."""
APP_ID_INVALID = 10003


class LarkOpenApi:
    """Answers under ``/open-apis``."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._gate = LarkGate(platform)
        self._store = Store()
        self._sent: ExpiringTable[Json] = ExpiringTable(max_entries=100_000)
        self._others = (
            LarkMessages(self._gate, self._store),
            LarkCards(self._gate, self._store),
            LarkMedia(self._gate),
        )

    def routes(self) -> list[web.RouteDef]:
        """Return what this answers to."""
        return [
            web.post("/open-apis/auth/v3/tenant_access_token/internal", self._token),
            web.get("/open-apis/bot/v3/info", self._bot_info),
            web.post("/open-apis/im/v1/messages", self._send),
            web.post("/open-apis/im/v1/messages/{message_id}/reply", self._reply),
            *(route for other in self._others for route in other.routes()),
        ]

    def received(self, *, message_id: str, sender: str, chat: str, kind: str, content: str) -> None:
        """Know a message of a person, so that bots can look it up, answer it and react to it."""
        now = self._now_ms()
        self._store.put(
            Stored(
                message_id=message_id,
                app="",
                sender=sender,
                chat=chat,
                kind=kind,
                content=content,
                created=now,
                updated=now,
            )
        )

    async def _token(self, request: web.Request) -> web.StreamResponse:
        """Answer ``auth/v3/tenant_access_token/internal``."""
        body = await read_json(request)
        app, secret = str(body.get("app_id", "")), str(body.get("app_secret", ""))
        if (faulty := await self._gate.faulty(app, call="token")) is not None:
            return faulty
        verdict = self._platform.apps.check(app, secret=secret)
        if verdict is not Verdict.ACCEPTED:
            code = APP_SECRET_INVALID if verdict is Verdict.MISMATCH else APP_ID_INVALID
            return json_answer({"code": code, "msg": "invalid param"}, status=400)
        fresh = f"t-{secrets.token_hex(20)}"
        token, expire = self._gate.tokens.issue(app, fresh=fresh, now=self._platform.clock.now())
        self._platform.state(app).tokens_issued += token == fresh
        self._platform.given_out.append(token)
        return json_answer({"code": 0, "msg": "ok", "tenant_access_token": token, "expire": expire})

    async def _bot_info(self, request: web.Request) -> web.StreamResponse:
        """Answer ``bot/v3/info``: the bot's own name and open_id."""

        async def act(app: str, _: Json) -> web.StreamResponse:
            known = self._platform.apps.find(app)
            bot = {
                "activate_status": 2,
                "app_name": known.name if known else "",
                "avatar_url": "",
                "open_id": open_id_of(app),
            }
            return json_answer({"code": 0, "msg": "ok", "bot": bot})

        return await self._gate.serve(request, call="bot_info", target="", act=act)

    async def _send(self, request: web.Request) -> web.StreamResponse:
        """Answer ``im/v1/messages``: a message to a user or chat."""
        id_type = request.query.get("receive_id_type", "open_id")

        async def act(app: str, body: Json) -> Json:
            target = str(body.get("receive_id", ""))
            if id_type not in RECEIVE_ID_TYPES or not target:
                raise refuse("receive_id, receive_id_type")
            chat = target if id_type == "chat_id" else f"oc_{target}"
            return self._put(app, body, target=target, via=f"send {id_type}", extra={"chat_id": chat})

        return await self._gate.serve(request, call="send", target=id_type, act=act)

    async def _reply(self, request: web.Request) -> web.StreamResponse:
        """Answer ``im/v1/messages/{message_id}/reply``; a message it does not know is taken for one."""
        parent = path_part(request, "message_id")

        async def act(app: str, body: Json) -> Json:
            known = self._store.find(parent)
            if known is not None:
                self._store.there(parent)
            chat = known.chat if known else "oc_simulated"
            extra: Json = {"chat_id": chat, "root_id": parent, "parent_id": parent}
            if body.get("reply_in_thread") is True:
                extra["thread_id"] = f"omt_{parent.removeprefix('om_')}"
            return self._put(app, body, target=parent, via="reply", extra=extra)

        return await self._gate.serve(request, call="send", target=parent, act=act)

    def _put(self, app: str, body: Json, *, target: str, via: str, extra: Json) -> Json:
        """Take a message, or tell of the one with the same ``uuid``."""
        _check_message(body)
        chat = str(extra["chat_id"])
        self._gate.limit_chat(chat, app=app)
        now, uuid = self._platform.clock.now(), str(body.get("uuid") or "")
        known = self._sent.get(f"{app} {uuid}", now=now) if uuid else None
        if known is not None:
            return known
        created = self._now_ms()
        message = Stored(
            message_id=f"om_{secrets.token_hex(16)}",
            app=app,
            sender=app,
            chat=chat,
            kind=str(body["msg_type"]),
            content=str(body["content"]),
            created=created,
            updated=created,
            parent=str(extra["parent_id"]) if "parent_id" in extra else None,
            thread=str(extra["thread_id"]) if "thread_id" in extra else None,
        )
        self._store.put(message)
        data = {**message.item(), **extra}
        if uuid:
            self._sent.put(f"{app} {uuid}", value=data, expires_at=now + UUID_LIFE_S)
        sent = SentMessage(at=now, via=via, message_id=message.message_id, target=target, body=body)
        keep(self._platform.state(app).messages, item=sent)
        return data

    def _now_ms(self) -> str:
        return str(int(self._platform.clock.now() * 1000))


def open_id_of(app: str) -> str:
    """Return the open_id of an app's bot, always the same for the same app."""
    return f"ou_{app.removeprefix('cli_')}"


def _check_message(body: Json) -> None:
    uuid = body.get("uuid")
    if isinstance(uuid, str) and len(uuid) > MAX_UUID_CHARS:
        raise refuse(f"uuid is longer than {MAX_UUID_CHARS}")
    if not isinstance(body.get("msg_type"), str) or decoded(body.get("content")) is None:
        raise refuse("msg_type, content (a JSON text)")
    most = CONTENT_BYTES.get(str(body["msg_type"]))
    if most is not None and len(str(body["content"]).encode()) > most:
        raise Refusal(CONTENT_TOO_LONG, "The length of the message content reaches its limit.")
