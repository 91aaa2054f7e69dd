"""Lark's payloads as events. Pure: a payload and a stamp in, an event out.

Messages of the types `content` knows become `message.created`, card clicks `card.action`, everything else
`platform.raw`, so that nothing is refused for being new. `raw` is the whole payload without its tokens.

The dedup key follows the platform's habits: a redelivery may carry a new event id and keeps its message id
(botmux#328), so messages go by the latter; reactions by what makes them one; all else by the event id, which
is the best there is.
"""

from __future__ import annotations

from typing import Any

import msgspec

from longwire_connectors.base import Stamp
from longwire_connectors.lark.content import Content, Mention, read_content
from longwire_connectors.lark.payload import Json, part, read_payload, text
from longwire_protocol.event import Chat, Event, Segment, Sender

CARD_ACTION = "card.action"
"""The type of events whose sender waits for an answer: Lark shows an error when an ack brings none."""

PRIVATE, GROUP = "private", "group"

_MICROSECONDS_FROM = 1e14
_MILLISECONDS_FROM = 1e11
"""Larger numbers are micro- or milliseconds: card callbacks count the former, events the latter, and
schema 1.0 whole seconds. As seconds the smaller limit is the year 5138."""


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
    create_time: str | int | float | None = None
    parent_id: str | None = None
    thread_id: str | None = None
    mentions: list[_Mention] | None = None


class _Received(msgspec.Struct):
    message: _Message
    sender: _Sender | None = None


def normalise(data: bytes, *, stamp: Stamp) -> Event:
    """Return the event that a payload stands for.

    Raises:
        MalformedEvent: not a JSON object.
    """
    payload = read_payload(data)
    event = _new(payload, stamp=stamp)
    match _event_type(payload):
        case "im.message.receive_v1":
            _read_message(event, payload)
        case "card.action.trigger":
            _read_card_action(event, part(payload, "event"))
        case "im.message.reaction.created_v1":
            _read_reaction(event, part(payload, "event"), change="added")
        case "im.message.reaction.deleted_v1":
            _read_reaction(event, part(payload, "event"), change="removed")
        case _:
            pass
    return event


def _new(payload: Json, *, stamp: Stamp) -> Event:
    """Return a `platform.raw` event with what all payloads have."""
    event_id = text(part(payload, "header"), "event_id") or text(payload, "uuid")
    chat_id = text(part(payload, "event"), "chat_id")
    return Event(
        id=stamp.id,
        type="platform.raw",
        time=_event_time(payload) or stamp.recv_time,
        recv_time=stamp.recv_time,
        tenant=stamp.tenant,
        account=stamp.account,
        platform=stamp.platform,
        bot=stamp.bot,
        chat=Chat(id=chat_id, type=GROUP) if chat_id else None,
        raw=payload,
        dedup_key=f"e:{event_id}" if event_id else None,
    )


def _event_type(payload: Json) -> str | None:
    return text(part(payload, "header"), "event_type") or text(part(payload, "event"), "type")


def _event_time(payload: Json) -> float | None:
    return _seconds(part(payload, "header").get("create_time")) or _seconds(payload.get("ts"))


def _seconds(value: object) -> float | None:
    """Return a time as Lark writes it in Unix seconds; `None` if it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if not 0 < number < 1e18:  # noqa: PLR2004  beyond it not even microseconds; NaN and infinity fail here too
        return None
    if number >= _MICROSECONDS_FROM:
        return number / 1e6
    return number / 1e3 if number >= _MILLISECONDS_FROM else number


def _read_message(event: Event, payload: Json) -> None:
    """Make a `message.created` of it, or of a type or shape not known fill in what there is."""
    try:
        received = msgspec.convert(part(payload, "event"), type=_Received)
    except msgspec.ValidationError:
        return
    message = received.message
    private = message.chat_type == "p2p"
    event.chat = Chat(
        id=message.chat_id, type=PRIVATE if private else GROUP, thread_id=message.thread_id or None
    )
    event.sender = _sender(received.sender)
    event.message_id = message.message_id
    event.reply_to = message.parent_id or None
    event.time = _seconds(message.create_time) or event.time
    mentions = message.mentions or []
    event.to_me = _is_to_me(event, mentions, is_private=private)
    content = read_content(message.message_type, message.content, mentions=_named(mentions))
    if content is not None and message.message_id:
        _say(event, content)


def _say(event: Event, content: Content) -> None:
    event.type = "message.created"
    event.dedup_key = f"m:{event.message_id}"
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
    return _person(msgspec.to_builtins(sender.sender_id), is_bot=is_bot)


def _read_card_action(event: Event, click: Json) -> None:
    """Fill in who clicked where. Lark does not say what kind of chat it was: `group` stands for any."""
    event.type = CARD_ACTION
    chat_id = text(part(click, "context"), "open_chat_id")
    event.chat = Chat(id=chat_id, type=GROUP) if chat_id else None
    event.message_id = text(part(click, "context"), "open_message_id")
    event.sender = _person(part(click, "operator"), is_bot=None)


def _person(ids: dict[str, Any], *, is_bot: bool | None) -> Sender | None:
    known = {name: ids[name] for name in ("open_id", "union_id", "user_id") if text(ids, name)}
    best = next(iter(known.values()), None)
    return None if best is None else Sender(id=best, ids=known, is_bot=is_bot)


def _read_reaction(event: Event, reaction: Json, *, change: str) -> None:
    """Know the reaction by what makes it one, since redeliveries may have new event ids."""
    operator = text(part(reaction, "user_id"), "open_id") or text(reaction, "app_id")
    emoji = text(part(reaction, "reaction_type"), "emoji_type")
    parts = (text(reaction, "message_id"), operator, emoji, change, text(reaction, "action_time"))
    if all(parts):
        event.dedup_key = f"r:{':'.join(map(str, parts))}"
