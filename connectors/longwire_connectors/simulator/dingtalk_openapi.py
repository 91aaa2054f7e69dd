"""DingTalk's REST calls for messages: token, to people and groups, recall, status, emotions, webhooks."""

import secrets
import uuid
from typing import Literal

from aiohttp import web

from longwire_connectors.simulator.answers import json_answer
from longwire_connectors.simulator.apps import Verdict
from longwire_connectors.simulator.counters import SentMessage, keep
from longwire_connectors.simulator.dingtalk_desk import Desk, Json, error, read_json, refused, texts
from longwire_connectors.simulator.fault_kinds import ApiName
from longwire_connectors.simulator.tickets import ExpiringTable

__all__ = ["DingTalkOpenApi"]

SESSION_EXPIRED = 300001
"""errcode of a session webhook that has ended. Not established."""
BAD_PARAMETER = 40035
"""errcode of a webhook body without ``msgtype``. Not established."""
MONTH_S = 30 * 86_400.0
_NEEDED = {"robotCode", "msgKey", "msgParam"}
_EMOTION = {"robotCode", "openMsgId", "openConversationId", "emotionType", "emotionName", "textEmotion"}


class DingTalkOpenApi:
    """Answers under ``/v1.0/robot`` and the session webhooks of injected messages."""

    def __init__(self, desk: Desk, *, host: str) -> None:
        self._desk = desk
        self._platform = desk.platform
        self._host = host
        self._sessions: ExpiringTable[str] = ExpiringTable(max_entries=200_000)
        self._sent: ExpiringTable[str] = ExpiringTable(max_entries=200_000)
        """The target of a message by its `processQueryKey`; a recalled one is not here any more."""

    def routes(self) -> list[web.RouteDef]:
        """Return what is answered here."""
        return [
            web.post("/v1.0/oauth2/accessToken", self.token),
            web.post("/v1.0/robot/oToMessages/batchSend", self.send_to_users),
            web.post("/v1.0/robot/groupMessages/send", self.send_to_group),
            web.post("/robot/sendBySession", self.send_by_session),
            web.post("/v1.0/robot/otoMessages/batchRecall", self.recall),
            web.post("/v1.0/robot/groupMessages/recall", self.recall),
            web.get("/v1.0/robot/oToMessages/readStatus", self.person_status),
            web.post("/v1.0/robot/groupMessages/query", self.group_status),
            web.post("/v1.0/robot/emotion/reply", self.emotion),
            web.post("/v1.0/robot/emotion/recall", self.emotion),
        ]

    def new_session(self, app: str, *, life_s: float) -> str:
        """Return the URL of a new session webhook, valid for ``life_s`` seconds."""
        session = secrets.token_hex(16)
        self._platform.given_out.append(session)
        self._sessions.put(session, value=app, expires_at=self._platform.clock.now() + life_s)
        return f"http://{self._host}/robot/sendBySession?session={session}"

    def carrier(self, target: str) -> str:
        """Return the key of a message that carries a card."""
        key = str(uuid.uuid4())
        self._sent.put(key, value=target, expires_at=self._platform.clock.now() + MONTH_S)
        return key

    async def token(self, request: web.Request) -> web.Response:
        """Answer ``oauth2/accessToken``; 401 for bad credentials."""
        body = await read_json(request)
        app, secret = str(body.get("appKey", "")), str(body.get("appSecret", ""))
        if (faulty := await self._desk.faulty(app, call="token")) is not None:
            return faulty
        if self._platform.apps.check(app, secret=secret) is not Verdict.ACCEPTED:
            return refused("authFailed", "鉴权失败", status=401)
        token, expire = self._desk.issue_token(app)
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
            return json_answer(error(SESSION_EXPIRED, "session is invalid or expired"))
        if (faulty := await self._desk.faulty(app, call="send", is_webhook=True)) is not None:
            return faulty
        body = await read_json(request)
        if not isinstance(body.get("msgtype"), str):
            return json_answer(error(BAD_PARAMETER, "msgtype is missing"))
        if (barred := self._desk.bar(app, session)) is not None:
            return barred
        self._keep(app, via="sessionWebhook", message_id="", target=session, body=body)
        return json_answer(error(0, "ok"))

    async def recall(self, request: web.Request) -> web.Response:
        """Answer both recalls: a key that is not known, or was recalled before, is named as failed."""
        body, now = await read_json(request), self._platform.clock.now()
        keys = texts(body.get("processQueryKeys"))
        app = await self._entered(request, "recall", is_right=bool(keys) and "robotCode" in body)
        if isinstance(app, web.Response):
            return app
        done: list[str] = []
        failed: Json = {}
        for key in keys:
            if self._sent.take(key, now=now) is None:
                failed[key] = "msgNotFound"
            else:
                done.append(key)
        self._desk.record(app, "recall", target=",".join(keys), body=body)
        return json_answer({"successResult": done, "failedResult": failed})

    async def person_status(self, request: web.Request) -> web.Response:
        """Answer ``oToMessages/readStatus``: whoever got a message has not read it."""
        named: Json = dict(request.query)
        target = await self._status(request, named)
        if isinstance(target, web.Response):
            return target
        people = [{"userId": target, "readStatus": "UNREAD"}]
        return json_answer({"sendStatus": "SUCCESS", "messageReadInfoList": people})

    async def group_status(self, request: web.Request) -> web.Response:
        """Answer ``groupMessages/query``: nobody has read it."""
        target = await self._status(request, await read_json(request))
        if isinstance(target, web.Response):
            return target
        return json_answer({"sendStatus": "SUCCESS", "readUserIds": [], "hasMore": False})

    async def emotion(self, request: web.Request) -> web.Response:
        """Answer ``robot/emotion/reply`` and ``recall``."""
        body = await read_json(request)
        app = await self._entered(request, "emotion", is_right=body.keys() >= _EMOTION)
        if isinstance(app, web.Response):
            return app
        what = request.path.rpartition("/")[2]
        self._desk.record(app, "emotion", target=str(body["openMsgId"]), body={**body, "what": what})
        return json_answer({"success": True})

    async def _status(self, request: web.Request, named: Json) -> str | web.Response:
        key = str(named.get("processQueryKey", ""))
        app = await self._entered(request, "status", is_right=bool(key) and "robotCode" in named)
        if isinstance(app, web.Response):
            return app
        target = self._sent.get(key, now=self._platform.clock.now())
        if target is None:
            return refused("invalidParameter.processQueryKey", "processQueryKey is invalid")
        self._desk.record(app, "status", target=key, body=named)
        return target

    async def _entered(self, request: web.Request, call: ApiName, *, is_right: bool) -> str | web.Response:
        app = await self._desk.enter(request, call=call)
        if isinstance(app, str) and not is_right:
            return refused("invalidParameter", "a parameter is missing")
        return app

    async def _send(
        self,
        request: web.Request,
        *,
        via: Literal["oToMessages", "groupMessages"],
        target_field: str,
        more: Json,
    ) -> web.Response:
        app = await self._desk.enter(request, call="send")
        if isinstance(app, web.Response):
            return app
        body = await read_json(request)
        missing = ({target_field} | _NEEDED) - body.keys()
        if missing:
            return refused("invalidParameter", f"missing {', '.join(sorted(missing))}")
        target = str(body[target_field])
        key = self.carrier(next(iter(texts(body[target_field])), target))
        self._keep(app, via=via, message_id=key, target=target, body=body)
        return json_answer({"processQueryKey": key, **more})

    def _keep(self, app: str, *, via: str, message_id: str, target: str, body: Json) -> None:
        at = self._platform.clock.now()
        sent = SentMessage(at=at, via=via, message_id=message_id, target=target, body=body)
        keep(self._platform.state(app).messages, item=sent)
