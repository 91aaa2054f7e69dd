"""The commands on what was sent or received before, and `platform.call`, as DingTalk's REST calls. Pure.

Documents: open.dingtalk.com robot_1.0 (groupMessages, oToMessages, messageFiles); the emotions are in none
that is public, their bodies are those of Hermes, CCCC and DingTalk-Real-AI's connector, which agree.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from longwire_connectors.dingtalk.params import Common, Json, Placed, Target, ToGroup, bad, read, require
from longwire_connectors.dingtalk.shapes import as_list, as_map

_GROUP = "/v1.0/robot/groupMessages"
_PERSON = "/v1.0/robot/oToMessages"
_RECALL_PERSON = "/v1.0/robot/otoMessages/batchRecall"  # this one path has a small t
_DOWNLOAD = "/v1.0/robot/messageFiles/download"
_EMOTION = "/v1.0/robot/emotion"
_EMOTION_ID, _EMOTION_BACKGROUND = "2659900", "im_bg_1"
"""Of an emotion that is a text: the same in all public code, whatever the text."""

_PATH = re.compile(r"(?:/[A-Za-z0-9_~:@=+,$-][A-Za-z0-9_.~:@=+,$-]*)+", re.ASCII)
"""Segments without `..`, an empty one, a query, or an escape: nothing that could leave the host."""
_NEW = re.compile(r"/v\d+\.\d+/")
"""How paths of api.dingtalk.com begin; all others are oapi.dingtalk.com's."""
_TOKEN_PATHS = ("/v1.0/oauth2/", "/gettoken", "/sso/gettoken", "/service/", "/v1.0/gateway/")
"""What gives tokens and connections out: for the connector alone."""


class Request(msgspec.Struct, frozen=True):
    """A call with the app's token."""

    path: str
    body: Json | None = None
    query: dict[str, str] = {}
    method: str = "POST"
    is_harmless: bool = False
    """Whether nothing is changed by it, or nothing that anybody notices; so it may be asked again at once."""

    @property
    def is_old(self) -> bool:
        """Whether it is oapi.dingtalk.com's, which takes the token in the query and answers `errcode`."""
        return _NEW.match(self.path) is None


class OfMessage(Placed, forbid_unknown_fields=True, kw_only=True):
    """The parameters of `message.delete` and `message.get`."""

    message_id: str


class Reaction(OfMessage, forbid_unknown_fields=True, kw_only=True):
    """The parameters of `reaction.create` and `reaction.delete`."""

    emoji: str


class _Platform(Common, forbid_unknown_fields=True, kw_only=True):
    path: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    query: dict[str, str | int | bool] = {}  # noqa: RUF012  a Struct's own for each
    body: Json | None = None


def send(target: Target, message: Json, *, robot_code: str) -> Request:
    """Return the call that sends a message; `message` is `msgKey` and `msgParam`."""
    if isinstance(target, ToGroup):
        where: Json = {"openConversationId": target.conversation}
        return Request(f"{_GROUP}/send", {"robotCode": robot_code, **where, **message})
    return Request(f"{_PERSON}/batchSend", {"robotCode": robot_code, "userIds": [target.staff_id], **message})


def recall(message_id: str, target: Target, *, robot_code: str) -> Request:
    """Return the call that takes a message of the robot back; `message_id` is its `processQueryKey`."""
    body: Json = {"robotCode": robot_code, "processQueryKeys": [message_id]}
    if isinstance(target, ToGroup):
        body["openConversationId"] = target.conversation
        return Request(f"{_GROUP}/recall", body)
    return Request(_RECALL_PERSON, body)


def status(message_id: str, target: Target, *, robot_code: str) -> Request:
    """Return the call that tells what became of a message of the robot, and who has read it."""
    named = {"robotCode": robot_code, "processQueryKey": message_id}
    if isinstance(target, ToGroup):
        body: Json = {**named, "openConversationId": target.conversation}
        return Request(f"{_GROUP}/query", body, is_harmless=True)
    return Request(f"{_PERSON}/readStatus", query=named, method="GET", is_harmless=True)


def read_status(message_id: str, answer: Json) -> Json:
    """Return what `message.get` tells, from either answer: {message_id, status, read_by, raw}."""
    persons = map(as_map, as_list(answer.get("messageReadInfoList")))
    read_by = [one.get("userId") for one in persons if one.get("readStatus") == "READ"]
    read_by += as_list(answer.get("readUserIds"))
    return {
        "message_id": message_id,
        "status": str(answer.get("sendStatus", "UNKNOWN")).lower(),
        "read_by": [one for one in read_by if isinstance(one, str)],
        "raw": answer,
    }


def react(params: Reaction, conversation: str, *, robot_code: str, is_added: bool) -> Request:
    """Return the call that puts an emotion on a message, or takes it back."""
    emoji = require(params.emoji, "emoji")
    emotion = {"emotionId": _EMOTION_ID, "emotionName": emoji, "text": emoji}
    body: Json = {
        "robotCode": robot_code,
        "openMsgId": require(params.message_id, "message_id"),
        "openConversationId": conversation,
        "emotionType": 2,
        "emotionName": emoji,
        "textEmotion": {**emotion, "backgroundId": _EMOTION_BACKGROUND},
    }
    return Request(f"{_EMOTION}/{'reply' if is_added else 'recall'}", body)


def find_file(code: str, *, robot_code: str) -> Request:
    """Return the call that tells where a file that came with a message lies for a while."""
    return Request(_DOWNLOAD, {"robotCode": robot_code, "downloadCode": code}, is_harmless=True)


def platform(given: Json) -> Request:
    """Return the call for `platform.call`.

    The path says which host is meant, `/v1.0/...` or the old one; it cannot name another, and tokens are not
    given out.

    Raises:
        CommandError: `BAD_PARAM`.
    """
    params = read(given, _Platform)
    if _PATH.fullmatch(params.path) is None or params.path.startswith(_TOKEN_PATHS):
        raise bad("`path` must be a path as /v1.0/contact/users or /topapi/v2/user/get, and none of tokens")
    if "access_token" in params.query:
        raise bad("`query` must not hold `access_token`: the account's own is used")
    query = {name: str(v).lower() if isinstance(v, bool) else str(v) for name, v in params.query.items()}
    return Request(params.path, params.body, query, method=params.method, is_harmless=params.method == "GET")
