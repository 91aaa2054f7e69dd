"""`message.create`: what is asked for, and which of DingTalk's three ways carries it. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from longwire_connectors.dingtalk.shapes import as_list, as_text
from longwire_protocol.errors import CommandError, RetCode

PARAMS = frozenset(
    {"account", "tenant", "chat", "user", "reply_to", "text", "segments", "card", "idempotency_key"}
)
"""Known parameters; the first two and the last are the parent's business."""
_CONVERSATION_PREFIX = "cid"
"""How ids of conversations begin, of groups and private chats alike; staff ids do not."""

Json = dict[str, Any]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message to send."""

    chat: str | None
    is_private: bool | None
    """What the caller says of the chat; `None` if only its id was given."""
    user: str | None
    text: str
    mentioned: tuple[str, ...] = ()
    """Staff ids."""


class ToPerson(msgspec.Struct, frozen=True):
    """By `oToMessages/batchSend`."""

    staff_id: str


class ToGroup(msgspec.Struct, frozen=True):
    """By `groupMessages/send`."""

    conversation: str


def read_message(params: Json) -> Message:
    """Return the message that `params` ask for.

    Raises:
        CommandError: `BAD_PARAM`, naming the parameter.
    """
    unknown = sorted(params.keys() - PARAMS)
    if unknown:
        raise _bad(f"unknown parameter {unknown[0]!r}")
    chat, is_private = _read_chat(params.get("chat"))
    user = _read_id(params, "user")
    if chat is None and user is None:
        raise _bad("`chat` or `user` must say where the message goes")
    _read_id(params, "reply_to")  # checked; DingTalk's robots answer in the chat, not to a message
    text, mentioned = _read_body(params)
    return Message(chat=chat, is_private=is_private, user=user, text=text, mentioned=mentioned)


def target_of(message: Message, *, partner: str | None) -> ToPerson | ToGroup:
    """Return where OpenAPI is to send the message.

    Args:
        message: what is asked for.
        partner: whom the chat is with, if it is known to be a private one.

    Raises:
        CommandError: `BAD_PARAM`: a private chat whose partner is not known.
    """
    chat = message.chat
    if chat is None:
        return ToPerson(message.user or "")
    if message.is_private is None and partner is None:
        return ToGroup(chat) if chat.startswith(_CONVERSATION_PREFIX) else ToPerson(chat)
    if message.is_private is False:
        return ToGroup(chat)
    staff_id = message.user or partner
    if staff_id is None and chat.startswith(_CONVERSATION_PREFIX):
        raise _bad("`user` must be given: nobody wrote in this private chat since the connector started")
    return ToPerson(staff_id or chat)


def webhook_body(message: Message) -> Json:
    """Return the body for a session webhook."""
    body: Json = {"msgtype": "text", "text": {"content": message.text}}
    if message.mentioned:
        body["at"] = {"atUserIds": list(message.mentioned), "isAtAll": False}
    return body


def openapi_body(message: Message, target: ToPerson | ToGroup, *, robot_code: str) -> Json:
    """Return the body for OpenAPI."""
    to: Json = (
        {"userIds": [target.staff_id]}
        if isinstance(target, ToPerson)
        else {"openConversationId": target.conversation}
    )
    param = msgspec.json.encode({"content": message.text}).decode()
    return {"robotCode": robot_code, **to, "msgKey": "sampleText", "msgParam": param}


def _read_chat(given: Any) -> tuple[str | None, bool | None]:
    match given:
        case None:
            return None, None
        case str(chat) if chat:
            return chat, None
        case {"id": str(chat), "type": str(kind)} if chat:
            return chat, kind == "private"
        case {"id": str(chat)} if chat:
            return chat, None
        case _:
            raise _bad("`chat` must be an id, or the `chat` map of an event")


def _read_id(params: Json, name: str) -> str | None:
    given = params.get(name)
    if given is None or (isinstance(given, str) and given):
        return given
    raise _bad(f"`{name}` must be an id")


def _read_body(params: Json) -> tuple[str, tuple[str, ...]]:
    given = [name for name in ("text", "segments", "card") if params.get(name) is not None]
    if len(given) != 1:
        raise _bad("exactly one of `text` and `segments` must be given")
    if given == ["card"]:
        raise _bad("`card` is unsupported on dingtalk")
    text, mentioned = _read_segments(params["segments"]) if given == ["segments"] else (params["text"], ())
    if not isinstance(text, str) or not text.strip():
        raise _bad(f"`{given[0]}` must hold some text")
    return text, mentioned


def _read_segments(given: Any) -> tuple[str, tuple[str, ...]]:
    if not isinstance(given, list):
        raise _bad("`segments` must be a list")
    texts: list[str] = []
    mentioned: list[str] = []
    for place, segment in enumerate(as_list(given)):
        match segment:
            case {"type": "text", "data": {"text": str(text)}}:
                texts.append(text)
            case {"type": "mention", "data": {"user_id": str(user)}}:
                mentioned.append(user)
                texts.append(f"@{as_text(segment['data'].get('name')) or user}")
            case {"type": "reply"}:
                continue  # as `reply_to`
            case _:
                raise _bad(f"`segments[{place}]` must be a text or a mention of this shape on dingtalk")
    return "".join(texts), tuple(mentioned)


def _bad(message: str) -> CommandError:
    return CommandError(RetCode.BAD_PARAM, message)
