"""What happens on Lark besides messages: reactions, recalls, clicks, members, chats. Pure.

Field names: lark_oapi `api/im/v1/model/p2_im_*.py`, each named below by the class of its `event`; cards and
previews `event/callback/model/`; menus `api/application/v6/model/p2_application_bot_menu_v6.py`. A chat made
by a first private conversation has schema 1.0 and no Python model: `P1P2PChatCreatedV1Data` of the Go SDK.

A notice without that which makes it one (a reaction's emoji, a recall's message) stays `platform.raw`.
"""

from __future__ import annotations

from collections.abc import Callable

from longwire_connectors.lark.messages import GROUP, PRIVATE
from longwire_connectors.lark.payload import Json, maps, part, seconds, text
from longwire_connectors.lark.people import app, member, mention, person
from longwire_protocol.event import Chat, Event, Segment

Reader = Callable[[Event, Json], None]
"""Fills in an event from the `event` part of its payload, and gives it its type if it can be read."""

CARD_ACTION = "card.action"
"""The type of events whose sender waits for an answer: Lark shows an error when an ack brings none."""


def reaction(type_: str, *, change: str) -> Reader:
    """Return the reader of a reaction (`P2ImMessageReactionCreatedV1Data`, `...DeletedV1Data`).

    It is known by what makes it one, since redeliveries may have new event ids.

    Args:
        type_: the event's type.
        change: `added` or `removed`, for the key.
    """

    def read(event: Event, body: Json) -> None:
        emoji = text(part(body, "reaction_type"), "emoji_type")
        event.message_id = text(body, "message_id")
        event.sender = person(part(body, "user_id")) or app(text(body, "app_id"))
        event.time = seconds(body.get("action_time")) or event.time
        operator = event.sender.id if event.sender else None
        parts = (event.message_id, operator, emoji, change, text(body, "action_time"))
        if all(parts):
            event.dedup_key = f"r:{':'.join(map(str, parts))}"
        if emoji and event.message_id:
            event.type = type_
            _say(event, emoji)

    return read


def recalled(event: Event, body: Json) -> None:
    """Read a recall (`P2ImMessageRecalledV1Data`); who did it is not told."""
    event.message_id = text(body, "message_id")
    event.time = seconds(body.get("recall_time")) or event.time
    if event.message_id:
        event.type = "message.deleted"


def was_read(event: Event, body: Json) -> None:
    """Read a receipt (`P2ImMessageMessageReadV1Data`); of several messages the ids are in `raw` alone."""
    reader = part(body, "reader")
    event.sender = person(part(reader, "reader_id"))
    event.time = seconds(reader.get("read_time")) or event.time
    match body.get("message_id_list"):
        case [str(only)] if only:
            event.message_id = only
        case _:
            pass
    if event.sender:
        event.type = "message.read"


def clicked(event: Event, body: Json) -> None:
    """Read a click on a card (`P2CardActionTriggerData`); what was clicked becomes a segment."""
    event.type = CARD_ACTION
    _read_context(event, body)
    event.segments = [Segment("card", action)] if (action := part(body, "action")) else None


def previewed(event: Event, body: Json) -> None:
    """Read a question for a link's preview (`P2URLPreviewGetData`)."""
    event.type = "lark.url.preview.get"
    _read_context(event, body)


def menu(event: Event, body: Json) -> None:
    """Read a choice in the bot's menu (`P2ApplicationBotMenuV6Data`); its key is the text."""
    operator = part(body, "operator")
    event.type = "lark.application.bot.menu_v6"
    event.sender = person(part(operator, "operator_id"), name=text(operator, "operator_name"))
    if key := text(body, "event_key"):
        _say(event, key)


def members(type_: str) -> Reader:
    """Return the reader of members who came or went (`P2ImChatMemberUser{Added,Deleted,Withdrawn}V1Data`).

    They become mentions; the sender is who did it, so someone who leaves alone is both.
    """

    def read(event: Event, body: Json) -> None:
        found = [member(user) for user in maps(body, "users")]
        event.segments = [one for one in found if one] or None
        if _read_chat(event, body, name=text(body, "name")):
            event.type = type_

    return read


def bot(type_: str) -> Reader:
    """Return the reader of the bot's own coming or going (`P2ImChatMemberBot{Added,Deleted}V1Data`)."""

    def read(event: Event, body: Json) -> None:
        event.to_me = True
        event.segments = [mention(event.bot.id, event.bot.name)] if event.bot else None
        if _read_chat(event, body, name=text(body, "name")):
            event.type = type_

    return read


def updated(event: Event, body: Json) -> None:
    """Read a change of a chat (`P2ImChatUpdatedV1Data`); a new name is the chat's, the rest in `raw`."""
    if _read_chat(event, body, name=text(part(body, "after_change"), "name")):
        event.type = "chat.updated"


def disbanded(event: Event, body: Json) -> None:
    """Read the end of a chat (`P2ImChatDisbandedV1Data`)."""
    if _read_chat(event, body, name=text(body, "name")):
        event.type = "chat.deleted"


def entered(event: Event, body: Json) -> None:
    """Read that someone opened the chat with the bot (`P2ImChatAccessEventBotP2pChatEnteredV1Data`)."""
    if _read_chat(event, body, name=None, kind=PRIVATE):
        event.to_me = True
        event.type = "chat.entered"


def created(event: Event, body: Json) -> None:
    """Read that a private chat with the bot came into being (`P1P2PChatCreatedV1Data`)."""
    if _read_chat(event, body, name=None, kind=PRIVATE):
        user = part(body, "user")
        event.sender = person(user, name=text(user, "name"))
        event.to_me = True
        event.type = "chat.created"


def _read_chat(event: Event, body: Json, *, name: str | None, kind: str = GROUP) -> bool:
    """Fill in who did something to which chat, and return whether the chat is named."""
    event.sender = person(part(body, "operator_id"))
    chat_id = text(body, "chat_id")
    if chat_id:
        event.chat = Chat(id=chat_id, type=kind, name=name)
    return chat_id is not None


def _read_context(event: Event, body: Json) -> None:
    """Fill in who did something where. Lark does not say what kind of chat: `group` stands for any."""
    context = part(body, "context")
    chat_id = text(context, "open_chat_id")
    event.chat = Chat(id=chat_id, type=GROUP) if chat_id else None
    event.message_id = text(context, "open_message_id")
    event.sender = person(part(body, "operator"))


def _say(event: Event, words: str) -> None:
    event.text = words
    event.segments = [Segment("text", {"text": words})]
