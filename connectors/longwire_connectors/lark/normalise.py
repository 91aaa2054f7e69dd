"""Lark's payloads as events. Pure: a payload and a stamp in, an event out.

`_READERS` says which event of Lark becomes what. Everything else, and what lacks that which makes it an event
of its kind, is `platform.raw`, so that nothing is refused for being new. `raw` is the whole payload without
its tokens. A field that is missing, null or of another type costs no more than itself. The sender is told
also of what is not understood, as it decides who may talk.

The dedup key follows the platform's habits: a redelivery may carry a new event id and keeps its message id
(botmux#328), so messages go by the latter; reactions by what makes them one; all else by the event id, which
is the best there is.
"""

from __future__ import annotations

from collections.abc import Mapping

from longwire_connectors.base import Stamp
from longwire_connectors.lark import messages, notices
from longwire_connectors.lark.notices import CARD_ACTION
from longwire_connectors.lark.payload import Json, part, read_payload, seconds, text
from longwire_connectors.lark.people import actor
from longwire_protocol.event import Chat, Event

__all__ = ["CARD_ACTION", "is_understood", "normalise"]

RAW = "platform.raw"

_READERS: Mapping[str, notices.Reader] = {
    "im.message.receive_v1": messages.read_created,
    "im.message.updated_v1": messages.read_updated,
    "im.message.recalled_v1": notices.recalled,
    "im.message.message_read_v1": notices.was_read,
    "im.message.reaction.created_v1": notices.reaction("reaction.created", change="added"),
    "im.message.reaction.deleted_v1": notices.reaction("reaction.deleted", change="removed"),
    "card.action.trigger": notices.clicked,
    "url.preview.get": notices.previewed,
    "application.bot.menu_v6": notices.menu,
    "im.chat.member.user.added_v1": notices.members("member.joined"),
    "im.chat.member.user.deleted_v1": notices.members("member.left"),
    "im.chat.member.user.withdrawn_v1": notices.members("member.left"),
    "im.chat.member.bot.added_v1": notices.bot("member.joined"),
    "im.chat.member.bot.deleted_v1": notices.bot("member.left"),
    "im.chat.updated_v1": notices.updated,
    "im.chat.disbanded_v1": notices.disbanded,
    "im.chat.access_event.bot_p2p_chat_entered_v1": notices.entered,
    "p2p_chat_create": notices.created,
}
"""By Lark's event type."""


def normalise(data: bytes, *, stamp: Stamp) -> Event:
    """Return the event that a payload stands for.

    Raises:
        MalformedEvent: not a JSON object, or nested too deeply.
    """
    payload = read_payload(data)
    event = _new(payload, stamp=stamp)
    read = _READERS.get(_event_type(payload) or "")
    if read is not None:
        read(event, part(payload, "event"))
    event.sender = event.sender or actor(payload)
    return event


def is_understood(event: Event) -> bool:
    """Tell whether an event is what its payload says it is; `False`: known by name, and not readable."""
    return event.type != RAW or _event_type(event.raw) not in _READERS


def _new(payload: Json, *, stamp: Stamp) -> Event:
    """Return a `platform.raw` event with what all payloads have."""
    event_id = text(part(payload, "header"), "event_id") or text(payload, "uuid")
    body = part(payload, "event")
    chat_id = text(body, "chat_id")
    kind = messages.PRIVATE if body.get("chat_type") == "p2p" else messages.GROUP
    return Event(
        id=stamp.id,
        type=RAW,
        time=_event_time(payload) or stamp.recv_time,
        recv_time=stamp.recv_time,
        tenant=stamp.tenant,
        account=stamp.account,
        platform=stamp.platform,
        bot=stamp.bot,
        chat=Chat(id=chat_id, type=kind) if chat_id else None,
        raw=payload,
        dedup_key=f"e:{event_id}" if event_id else None,
    )


def _event_type(payload: Json) -> str | None:
    return text(part(payload, "header"), "event_type") or text(part(payload, "event"), "type")


def _event_time(payload: Json) -> float | None:
    return seconds(part(payload, "header").get("create_time")) or seconds(payload.get("ts"))
