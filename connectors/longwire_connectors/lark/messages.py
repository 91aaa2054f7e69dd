"""Lark's messages, new and edited. Pure.

Field names: lark_oapi `api/im/v1/model/` `event_message.py` 10-23 (EventMessage), `event_sender.py`
(EventSender), `mention_event.py` (MentionEvent).

The SDK has no model of an edit. That `im.message.updated_v1` can be subscribed to over the long connection is
public code (deepcoldy/botmux); that its body is that of `im.message.receive_v1`, with a later `update_time`,
is how public code reads it and not established.
"""

from __future__ import annotations

from typing import Any

import msgspec

from longwire_connectors.lark.content import read_content
from longwire_connectors.lark.payload import Json, maps, part, seconds, text
from longwire_connectors.lark.people import person
from longwire_connectors.lark.richtext import Content, Mention
from longwire_protocol.event import Chat, Event, Segment, Sender

PRIVATE, GROUP = "private", "group"


class _UserId(msgspec.Struct):
    open_id: str | None = None
    union_id: str | None = None
    user_id: str | None = None


class _Sender(msgspec.Struct):
    sender_id: _UserId | None = None
    sender_type: str | None = None


class _Mention(msgspec.Struct):
    key: str
    id: _UserId | str | None = None
    name: str | None = None


class _Message(msgspec.Struct):
    message_id: str
    chat_id: str
    message_type: str
    content: str
    chat_type: str | None = None
    create_time: Any = None
    update_time: Any = None
    parent_id: str | None = None
    thread_id: str | None = None
    mentions: list[_Mention] | None = None


class _Received(msgspec.Struct):
    message: _Message
    sender: _Sender | None = None


def read_created(event: Event, body: Json) -> None:
    """Make a `message.created` of it, or of a type or shape not known fill in what there is."""
    message = _fill(event, body)
    if message is not None:
        event.time = seconds(message.create_time) or event.time
        if _say(event, message):
            event.type = "message.created"
            event.dedup_key = f"m:{event.message_id}"


def read_updated(event: Event, body: Json) -> None:
    """Make a `message.updated` of it. It has the message's id, so it is known by the event's own one."""
    message = _fill(event, body)
    if message is not None:
        event.time = seconds(message.update_time) or event.time
        if _say(event, message):
            event.type = "message.updated"


def _fill(event: Event, body: Json) -> _Message | None:
    """Fill in where, who and which, and return the message if it can be read at all."""
    received = _received(body)
    if received is None:
        _place(event, part(body, "message"))
        return None
    message = received.message
    kind = PRIVATE if message.chat_type == "p2p" else GROUP
    event.chat = Chat(id=message.chat_id, type=kind, thread_id=message.thread_id or None)
    event.sender = _sender(received.sender)
    event.message_id = message.message_id
    event.reply_to = message.parent_id or None
    event.to_me = _is_to_me(event, message.mentions or [], is_private=kind == PRIVATE)
    return message


def _received(body: Json) -> _Received | None:
    try:
        return msgspec.convert(body, type=_Received)
    except msgspec.ValidationError:
        pass
    try:
        return msgspec.convert(_mended(body), type=_Received)
    except msgspec.ValidationError:
        return None


def _mended(body: Json) -> Json:
    """Return the body without what has a wrong type: what may be missing must not cost the message."""
    given, sender = part(body, "message"), part(body, "sender")
    message: Json = {name: value for name, value in given.items() if isinstance(value, str)}
    message["mentions"] = [
        {"key": mention["key"], "id": _texts(part(mention, "id")), "name": text(mention, "name")}
        for mention in maps(given, "mentions")
        if text(mention, "key")
    ]
    ids = _texts(part(sender, "sender_id"))
    return {"message": message, "sender": {"sender_id": ids, "sender_type": text(sender, "sender_type")}}


def _texts(given: Json) -> Json:
    return {name: value for name, value in given.items() if isinstance(value, str)}


def _place(event: Event, message: Json) -> None:
    """Fill in what is left of a message that cannot be read, so that it keeps its place in its chat."""
    chat_id = text(message, "chat_id")
    event.chat = Chat(id=chat_id, type=GROUP) if chat_id else event.chat
    event.message_id = text(message, "message_id")


def _say(event: Event, message: _Message) -> bool:
    """Fill in what it says and return whether that is known; a message without an id is none."""
    content = read_content(message.message_type, message.content, mentions=_named(message.mentions or []))
    if content is None or not message.message_id:
        return False
    _write(event, content)
    return True


def _write(event: Event, content: Content) -> None:
    event.text = content.text
    quoted = [Segment("reply", {"message_id": event.reply_to})] if event.reply_to else []
    event.segments = quoted + content.segments
    event.resources = content.resources or None


def _is_to_me(event: Event, mentions: list[_Mention], *, is_private: bool) -> bool | None:
    if is_private:
        return True
    if event.bot is None:
        return None
    return any(_id_of(mention.id) == event.bot.id for mention in mentions)


def _named(mentions: list[_Mention]) -> dict[str, Mention]:
    return {
        mention.key: Mention(_id_of(mention.id) or mention.key, mention.name or mention.key)
        for mention in mentions
    }


def _id_of(user: _UserId | str | None) -> str | None:
    """Return the id to know someone by; a bot's own one is an open_id."""
    if user is None or isinstance(user, str):
        return user
    return user.open_id or user.union_id or user.user_id


def _sender(sender: _Sender | None) -> Sender | None:
    if sender is None or sender.sender_id is None:
        return None
    is_bot = None if sender.sender_type is None else sender.sender_type == "app"
    return person(msgspec.to_builtins(sender.sender_id), is_bot=is_bot)
