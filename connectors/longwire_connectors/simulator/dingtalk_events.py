"""DingTalk's downstream frames: JSON texts, with the event as JSON text in ``data``.

Shapes: the protocol description and captures in public code, see ``docs/platforms.md`` sections 4.2 and 4.4.
Pure: ids and time are given.
"""

import msgspec

from longwire_connectors.simulator.deliveries import Delivery, DeliveryRecord, Policy
from longwire_connectors.simulator.dingtalk_samples import CORP_ID, build_content, build_notice
from longwire_connectors.simulator.injections import DingTalkEvent, EventIds
from longwire_connectors.simulator.timings import Timings

__all__ = ["BOT_TOPIC", "build_delivery"]

BOT_TOPIC = "/v1.0/im/bot/messages/get"
CARD_TOPIC = "/v1.0/card/instances/callback"

Json = dict[str, object]

_TYPES = {
    "message": ("CALLBACK", BOT_TOPIC),
    "card": ("CALLBACK", CARD_TOPIC),
    "event": ("EVENT", "*"),
    "ping": ("SYSTEM", "ping"),
    "disconnect": ("SYSTEM", "disconnect"),
    "raw": ("", ""),
}


def build_delivery(
    event: DingTalkEvent, *, index: int, ids: EventIds, now: float, timings: Timings, webhook: str
) -> Delivery:
    """Return event number ``index`` of an injection, ready to be sent; ``webhook`` is its sessionWebhook."""
    repeats = event.kind == "event"
    frame_type, own_topic = _TYPES[event.kind]
    record = DeliveryRecord(
        app=event.app,
        kind=event.kind,
        frame_message_id=ids.frame_message_id,
        message_id=ids.message_id if event.kind == "message" else "",
        event_id=ids.event_ids[0] if event.kind == "event" else "",
    )
    return Delivery(
        record=record,
        policy=Policy(
            ack_deadline_s=(
                timings.dingtalk_click_deadline_s if event.kind == "card" else timings.dingtalk_ack_deadline_s
            ),
            ladder_s=(timings.dingtalk_repeat_s,) if repeats else (),
            repeats_last=repeats,
        ),
        attempts=((event.wire or _text(event, index=index, ids=ids, now=now, webhook=webhook),),),
        topic=_needed_subscription(event, f"{frame_type} {own_topic}"),
        connection=event.connection,
        is_farewell=event.kind == "disconnect",
    )


def _needed_subscription(event: DingTalkEvent, own: str) -> str:
    """Return what a client must have subscribed to, empty for nothing.

    «Unregistered topics are not pushed» (protocol description).
    """
    is_for_all = event.topic is not None or event.kind in ("ping", "disconnect", "raw")
    return "" if is_for_all else own


def _text(event: DingTalkEvent, *, index: int, ids: EventIds, now: float, webhook: str) -> str:
    """Return the WebSocket message of an injection."""
    if event.kind == "raw":
        return _given(event) or "null"
    frame_type, topic = _TYPES[event.kind]
    headers = {
        "appId": "00000000-0000-0000-0000-000000000000",
        "connectionId": event.connection or "",
        "contentType": "application/json",
        "messageId": ids.frame_message_id,
        "time": str(int(now * 1000)),
        "topic": event.topic or topic,
    }
    if event.kind == "event":
        headers |= _event_headers(event, event_id=ids.event_ids[0], now=now)
    frame = {
        "specVersion": "1.0",
        "type": frame_type,
        "headers": headers,
        "data": _data(event, index=index, ids=ids, now=now, webhook=webhook),
    }
    return msgspec.json.encode(frame).decode()


def _event_headers(event: DingTalkEvent, *, event_id: str, now: float) -> dict[str, str]:
    return {
        "eventType": event.event_type,
        "eventId": event_id,
        "eventCorpId": CORP_ID,
        "eventBornTime": str(int(now * 1000)),
        "eventUnifiedAppId": "00000000-0000-0000-0000-000000000000",
    }


def _data(event: DingTalkEvent, *, index: int, ids: EventIds, now: float, webhook: str) -> str:
    """Return ``data``: the given one as it is, else what the kind needs."""
    given = _given(event)
    if given is not None:
        return given
    made: Json
    match event.kind:
        case "message":
            made = _message(event, index=index, ids=ids, now=now, webhook=webhook)
        case "card":
            made = event.data if event.data is not None else _card(event)
        case "ping":
            made = {"opaque": ids.trace_id}
        case "disconnect":
            made = {"reason": event.reason}
        case _:
            made = event.data if event.data is not None else build_notice(event, now=now)
    return msgspec.json.encode(made).decode()


def _given(event: DingTalkEvent) -> str | None:
    if event.raw_text is not None:
        return event.raw_text
    return None if event.raw is msgspec.UNSET else msgspec.json.encode(event.raw).decode()


def _message(event: DingTalkEvent, *, index: int, ids: EventIds, now: float, webhook: str) -> Json:
    created = int(now * 1000)
    message: Json = {
        "conversationId": event.conversation,
        "conversationType": event.conversation_type,
        "chatbotCorpId": CORP_ID,
        "chatbotUserId": f"$:LWCP_v1:${event.app}==",
        "msgId": ids.message_id,
        "senderNick": event.sender_nick,
        "isAdmin": False,
        "senderStaffId": event.sender_staff_id,
        "sessionWebhookExpiredTime": created + int(event.session_life_s * 1000),
        "createAt": created,
        "senderCorpId": CORP_ID,
        "senderId": event.sender,
        "sessionWebhook": webhook,
        "robotCode": event.app,
        "msgtype": event.msgtype,
        **_group(event),
        **_content(event, index=index),
    }
    return {
        key: value for key, value in message.items() if value is not None and key not in event.omitted_fields
    }


def _group(event: DingTalkEvent) -> Json:
    if event.conversation_type == "1":
        return {}
    at_users = [msgspec.to_builtins(user) for user in event.at_users]
    return {"conversationTitle": event.title, "isInAtList": True, "atUsers": at_users}


def _content(event: DingTalkEvent, *, index: int) -> Json:
    text = event.text.replace("{n}", str(index))
    if event.msgtype == "text":
        return {"text": {"content": text}}
    return {"content": event.content if event.content is not None else build_content(event.msgtype, text)}


def _card(event: DingTalkEvent) -> Json:
    """Return a click; ``content`` and ``extension`` are JSON texts themselves."""
    content = {"cardPrivateData": {"actionIds": ["button"], "params": {"text": event.text}}}
    return {
        "corpId": CORP_ID,
        "userId": event.sender_staff_id or "",
        "outTrackId": "track-simulated",
        "content": msgspec.json.encode(content).decode(),
        "extension": "{}",
        "spaceId": event.conversation,
        "spaceType": "IM_ROBOT" if event.conversation_type == "1" else "IM_GROUP",
        "type": "actionCallback",
        "userIdType": 1,
    }
