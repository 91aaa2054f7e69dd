"""The event: one thing that happened on a platform, as every client sees it.

A reader ignores fields it does not know. `None` means absent on the wire, which means «not applicable».
The child encodes an event without `seq` and `delivery`; the parent puts those two in front of the same
bytes (`longwire_protocol.codec.with_delivery`) and never decodes the body.

The parts of an event have `gc=False`: they can be in no reference cycle, and a reader that has thousands of
events under way would pay more for the collector's rounds over them than for decoding.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Bot(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The account's own identity on its platform."""

    id: str
    name: str | None = None
    code: str | None = None
    """What calls of the platform name it by, where that is not `id`: DingTalk's robotCode."""


class Chat(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Where it happened. Order is kept per account and `id`."""

    id: str
    type: str
    """`private`, `group` or `channel`."""
    thread_id: str | None = None
    name: str | None = None


class Sender(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Who did it."""

    id: str
    name: str | None = None
    is_bot: bool | None = None
    ids: dict[str, str] | None = None
    """The platform's other ids of the same person, by kind: `open_id`, `union_id`, `staff_id`, ..."""


class Segment(msgspec.Struct, frozen=True, gc=False):
    """A piece of a message, in reading order."""

    type: str
    """`text`, `mention`, `image`, `file`, `audio`, `video`, `sticker`, `location`, `card`, `reply`."""
    data: dict[str, Any]


class Resource(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Something of a message that must be fetched apart."""

    id: str
    kind: str
    name: str | None = None
    size: int | None = None
    """Bytes."""
    mime: str | None = None


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """Facts about this delivery of the event to this subscription."""

    attempt: int
    """1 for the first."""
    redelivered: bool


class Event(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One event. Times are Unix seconds with a fraction."""

    respond_by: float | None = None
    """Of a click on a card: until when `card.respond` can say what its user sees. Absent where nobody can any
    more. The first field, because the parent takes it off the stored bytes (`codec.with_delivery`)."""
    v: int = msgspec.field(default_factory=lambda: 1)
    """Version of this shape. A factory, so that `omit_defaults` keeps it on the wire."""
    seq: int | None = None
    """Position in the journal, strictly growing; absent only between child and parent."""
    id: str
    """Unique, made by Longwire."""
    type: str
    time: float
    """The platform's time."""
    recv_time: float
    """The child's clock when the frame arrived."""
    tenant: str
    account: str
    platform: str
    bot: Bot | None = msgspec.field(default=None, name="self")
    chat: Chat | None = None
    sender: Sender | None = None
    message_id: str | None = None
    reply_to: str | None = None
    text: str | None = None
    """Plain text, mentions readable."""
    to_me: bool | None = None
    """A private chat, or the bot is mentioned."""
    segments: list[Segment] | None = None
    resources: list[Resource] | None = None
    raw: Any = None
    """The platform's own payload, complete but for capabilities and tokens, which are blanked."""
    dedup_key: str | None = None
    delivery: Delivery | None = None
    trace: str | None = None


def answer_to(event: Event) -> dict[str, Any]:
    """Return the params of `message.create` that say where an answer to this event goes."""
    params: dict[str, Any] = {}
    if event.chat is not None:
        params["chat"] = msgspec.to_builtins(event.chat)
    if event.sender is not None:
        params["user"] = event.sender.id
    if event.message_id is not None:
        params["reply_to"] = event.message_id
    return params
