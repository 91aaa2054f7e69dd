"""What can be injected by the admin plane: the request bodies, and the ids that are made for them."""

import secrets
import uuid
from typing import Annotated, Literal

import msgspec

__all__ = ["AtUser", "DingTalkEvent", "EventIds", "LarkEvent", "LarkMention", "dingtalk_ids", "lark_ids"]

MAX_COUNT = 20_000
"""Events of one request: building more at once would block the loop for long."""
LARK_ATTEMPTS = 5
"""One delivery and four redeliveries."""

Count = Annotated[int, msgspec.Meta(ge=1, le=MAX_COUNT)]
Rate = Annotated[float, msgspec.Meta(gt=0)]
Parts = Annotated[int, msgspec.Meta(ge=1, le=128)]
PartNumber = Annotated[int, msgspec.Meta(ge=0)]


class LarkMention(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Someone mentioned; the text refers to them as ``@_user_1``, ``@_user_2`` in order."""

    open_id: str
    name: str = "Bot"


class Injection(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the injections of both platforms share."""

    app: str
    text: str = "hello"
    """``{n}`` in it becomes the number of the event in this request, from 0."""
    count: Count = 1
    rate_per_s: Rate | None = None
    """Events per second; None sends all at once."""
    message_id: str | None = None
    event_id: str | None = None
    frame_message_id: str | None = None
    """The ids: of the message, of the event, in the frame's header. None makes a new one for each event."""
    raw: object = msgspec.UNSET
    """The platform's own payload as any JSON value; the ids above then only name it here."""
    raw_text: str | None = None
    """The same as a text that need not be JSON."""
    wire: bytes | None = None
    """A whole binary WebSocket message (base64 in JSON) in place of a frame of the platform's."""
    connection: str | None = None
    """The id of the only connection it may go to, as ``GET /_sim/state`` shows it."""


class LarkEvent(Injection, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /_sim/lark/events``."""

    kind: Literal["message", "card", "event", "raw"] = "message"
    """``event`` is what happens besides messages and clicks: reactions, recalls, members, chats, ..."""
    event_type: str | None = None
    """Another type than the kind's own; ``event`` needs one. An edit is a message of type
    ``im.message.updated_v1``."""
    data: dict[str, object] | None = None
    """For ``event``: the ``event`` part of the payload; None makes it for the types of ``lark_notices``."""
    chat: str = "oc_simulated"
    chat_type: Literal["p2p", "group"] = "p2p"
    sender: str = "ou_simulated_user"
    message_type: str = "text"
    """The types of ``lark_contents`` get a content made from ``text``; others need ``content``."""
    content: str | None = None
    mentions: list[LarkMention] = []
    """Of a message; and the members who come or go."""
    emoji: str = "SMILE"
    root_id: str | None = None
    parent_id: str | None = None
    thread_id: str | None = None
    action_value: dict[str, object] | None = None
    action_tag: str = "button"
    form_value: dict[str, object] | None = None
    frame_type: str = "event"
    parts: Parts = 1
    part_order: list[PartNumber] | None = None
    """Part numbers in the order they are sent, each as often as it stands here; None sends 0, 1, 2, …"""
    missing_part: int | None = None
    declared_sum: int | None = None
    """Another ``sum`` in the headers than ``parts``."""
    omitted_headers: list[str] = []
    wire_text: str | None = None
    """A whole text WebSocket message, which Lark never sends."""
    is_redelivered: bool = True
    """False: without an ack it is not pushed again. Card clicks never are."""
    has_fresh_event_ids: bool = False
    """True: each redelivery carries a new event_id and the same message_id (botmux#328)."""


class AtUser(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Someone mentioned in a DingTalk group."""

    dingtalk_id: str
    staff_id: str | None = None


class DingTalkEvent(Injection, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /_sim/dingtalk/events``."""

    kind: Literal["message", "event", "card", "ping", "disconnect", "raw"] = "message"
    """``raw`` sends ``raw_text`` or ``raw`` as a whole WebSocket message, to clients of any subscription."""
    topic: str | None = None
    """Another topic than the kind's own; then clients of any subscription get it. ``ping`` with CONNECTED,
    REGISTERED or KEEPALIVE is the SYSTEM frame of that name."""
    conversation: str = "cidSimulated=="
    conversation_type: Literal["1", "2"] = "1"
    """1 private, 2 group."""
    title: str = "simulated group"
    sender: str = "$:LWCP_v1:$simulated=="
    sender_nick: str = "User"
    sender_staff_id: str | None = "0300simulated"
    """None for a user from outside."""
    msgtype: str = "text"
    content: dict[str, object] | None = None
    """``content`` of a msgtype other than text; None makes one for the types of ``dingtalk_samples``."""
    at_users: list[AtUser] = []
    """Of a message in a group; and the members who come or go."""
    omitted_fields: list[str] = []
    """Fields of a message's data to leave out, as ``msgId``."""
    session_life_s: Annotated[float, msgspec.Meta(gt=0)] = 5400.0
    """How long the sessionWebhook answers: 90 minutes in every capture."""
    event_type: str = "chat_update_title"
    data: dict[str, object] | None = None
    """``data`` of an event or of a card click; None makes one of its type's shape."""
    reason: str = "connection is expired"
    """Of a disconnect."""


class EventIds(msgspec.Struct, kw_only=True, frozen=True):
    """The ids of one event; ``event_ids`` has one for each attempt, or one for all."""

    message_id: str
    event_ids: tuple[str, ...]
    frame_message_id: str
    trace_id: str


def lark_ids(event: LarkEvent) -> EventIds:
    """Return the ids given in the injection, and new ones in Lark's form for those that are not."""
    first = event.event_id or secrets.token_hex(16)
    others = [secrets.token_hex(16) for _ in range(LARK_ATTEMPTS - 1)] if event.has_fresh_event_ids else []
    return EventIds(
        message_id=event.message_id or f"om_{secrets.token_hex(16)}",
        event_ids=(first, *others),
        frame_message_id=event.frame_message_id or str(uuid.uuid4()),
        trace_id=secrets.token_hex(16),
    )


def dingtalk_ids(event: DingTalkEvent) -> EventIds:
    """Return the ids given in the injection, and new ones in DingTalk's form for those that are not."""
    return EventIds(
        message_id=event.message_id or f"msg{secrets.token_urlsafe(16)}==",
        event_ids=(event.event_id or uuid.uuid4().hex,),
        frame_message_id=event.frame_message_id or f"{secrets.token_hex(8)}_{secrets.token_hex(8)}",
        trace_id=secrets.token_hex(16),
    )
