"""DingTalk's frames as events. Pure: a frame and a stamp in, an event out; never fails on JSON of any shape.

Shapes: `docs/platforms.md` 4.2 and 4.4; cards also dingtalk_stream `card_callback.py` 8-34
(CardCallbackMessage). A field that is missing, null or of another type costs no more than itself. `raw` is
`{"type", "headers", "data"}`: the whole frame, its `data` decoded, capabilities blanked. The sender is told
also of what is not understood, as it decides who may talk.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from longwire_connectors.base import Stamp
from longwire_connectors.dingtalk.clean import clean, read_text
from longwire_connectors.dingtalk.content import Content, read_content
from longwire_connectors.dingtalk.notices import read_notice
from longwire_connectors.dingtalk.people import actor
from longwire_connectors.dingtalk.shapes import as_map, as_text
from longwire_connectors.dingtalk.webhooks import Session
from longwire_connectors.dingtalk.wire import CARD_TOPIC, EVENT, ROBOT_TOPIC
from longwire_protocol.event import Bot, Chat, Event, Segment, Sender

PRIVATE = "1"
"""`conversationType` of a chat between the robot and one person; "2" is a group."""
RAW = "platform.raw"
CARD_ACTION = "card.action"
_NOT_FOR_ROBOTS = "unknownMsgType"
"""`msgtype` of a message whose content DingTalk keeps from robots: there is nothing to understand."""
_PRIVATE_SPACES = frozenset({"IM_ROBOT", "IM_SINGLE"})
"""`spaceType` of a card in a private chat; every other one is a group."""
_TEXTS = frozenset({"content", "extension"})
"""Fields of a click that are JSON texts."""


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """A frame as the SDK has read it."""

    type: str
    headers: dict[str, Any]
    data: Any

    @property
    def topic(self) -> Any:
        """Its topic."""
        return self.headers.get("topic")

    @property
    def fields(self) -> dict[str, Any]:
        """`data` where it is an object, else nothing."""
        return as_map(self.data)


def to_event(frame: Frame, stamp: Stamp) -> Event:
    """Return the event of a frame.

    Raises:
        ValueError: the frame is nested too deeply to be kept.
    """
    raw = clean({"type": frame.type, "headers": frame.headers, "data": frame.data})
    tidy = Frame(type=frame.type, headers=raw["headers"], data=raw["data"])
    event = Event(
        id=stamp.id,
        type=RAW,
        time=_time_of(tidy, default=stamp.recv_time),
        recv_time=stamp.recv_time,
        tenant=stamp.tenant,
        account=stamp.account,
        platform=stamp.platform,
        bot=stamp.bot,
        raw=raw,
    )
    if tidy.type == EVENT:
        event.dedup_key = _key("e", tidy.headers.get("eventId"))
        read_notice(event, tidy.headers.get("eventType"), tidy.fields)
    elif tidy.topic == ROBOT_TOPIC:
        _fill_message(event, tidy.fields)
    elif tidy.topic == CARD_TOPIC:
        _fill_card(event, tidy)
    event.sender = event.sender or actor(tidy.fields)
    return event


def is_understood(event: Event) -> bool:
    """Tell whether an event is what its frame says it is; `False`: not readable, or of a new kind."""
    return event.type != RAW or as_map(event.raw["data"]).get("msgtype") == _NOT_FOR_ROBOTS


def bot_of(frame: Frame, *, known: Bot | None) -> Bot | None:
    """Return who the robot is, by what the frame tells and, where it tells nothing, by what was known."""
    fields = frame.fields if frame.topic == ROBOT_TOPIC else {}
    given = as_text(fields.get("chatbotUserId")) or (known.id if known else None)
    if given is None:
        return None
    known_code = known.code if known and known.id == given else None
    return Bot(id=given, code=as_text(fields.get("robotCode")) or known_code)


def session_of(frame: Frame) -> Session | None:
    """Return what a robot message teaches about its chat; `None` for other frames."""
    fields = frame.fields
    chat = as_text(fields.get("conversationId"))
    if frame.topic != ROBOT_TOPIC or chat is None:
        return None
    sender = _sender(fields)
    ends_at, made_at = (_seconds(fields.get(key)) for key in ("sessionWebhookExpiredTime", "createAt"))
    return Session(
        chat=chat,
        is_private=_is_private(fields),
        sender=sender.id if sender else None,
        staff_id=as_text(fields.get("senderStaffId")),
        webhook=as_text(fields.get("sessionWebhook")),
        life_s=ends_at - made_at if ends_at is not None and made_at is not None else None,
    )


def _fill_message(event: Event, fields: dict[str, Any]) -> None:
    event.message_id = as_text(fields.get("msgId"))
    event.dedup_key = _key("m", event.message_id)
    event.chat = _chat(fields)
    event.sender = _sender(fields)
    event.to_me = True if _is_private(fields) else bool(fields.get("isInAtList"))
    content: Content | None = read_content(fields)
    if content is None:
        return
    event.type = "message.created"
    event.text = content.text
    event.reply_to = content.reply_to
    event.segments = content.segments
    event.resources = content.resources or None


def _fill_card(event: Event, frame: Frame) -> None:
    event.type = CARD_ACTION
    event.dedup_key = _key("c", frame.headers.get("messageId"))
    fields = frame.fields
    texts = {name: read_text(words) for name in _TEXTS if (words := as_text(fields.get(name)))}
    event.segments = [Segment("card", fields | texts)] if fields else None
    space, user = as_text(fields.get("spaceId")), as_text(fields.get("userId"))
    if space:
        is_private = as_text(fields.get("spaceType")) in _PRIVATE_SPACES
        event.chat = Chat(id=space, type="private" if is_private else "group")
    if user:
        event.sender = Sender(id=user, ids={"staff_id": user})


def _chat(fields: dict[str, Any]) -> Chat | None:
    given = as_text(fields.get("conversationId"))
    if given is None:
        return None
    kind = "private" if _is_private(fields) else "group"
    return Chat(id=given, type=kind, name=as_text(fields.get("conversationTitle")))


def _sender(fields: dict[str, Any]) -> Sender | None:
    """Return the sender; someone from outside the organisation has no staff id."""
    staff_id, dingtalk_id = as_text(fields.get("senderStaffId")), as_text(fields.get("senderId"))
    ids = {"staff_id": staff_id, "dingtalk_id": dingtalk_id}
    known = {kind: value for kind, value in ids.items() if value}
    best = staff_id or dingtalk_id
    return Sender(id=best, name=as_text(fields.get("senderNick")), ids=known) if best else None


def _is_private(fields: dict[str, Any]) -> bool:
    return fields.get("conversationType") == PRIVATE


def _time_of(frame: Frame, *, default: float) -> float:
    """Return when it happened, in Unix seconds; the platform's times are milliseconds."""
    candidates = (
        frame.fields.get("createAt") if frame.topic == ROBOT_TOPIC else None,
        frame.headers.get("eventBornTime"),
        frame.headers.get("time"),
    )
    known = (_seconds(candidate) for candidate in candidates)
    return next((seconds for seconds in known if seconds is not None), default)


def _seconds(given: Any) -> float | None:
    """Return milliseconds, as a number or its text, as seconds; `None` for anything else."""
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return None
    try:
        seconds = float(given) / 1000
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _key(kind: str, given: Any) -> str | None:
    """Return the key that redeliveries share; without an id nothing is ever taken for one."""
    return f"{kind}:{given}" if as_text(given) else None
