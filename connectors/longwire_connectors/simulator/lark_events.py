"""Lark events as the platform writes them, and their way into frames.

Shapes: the SDK's models and captures in public code, see ``docs/platforms.md`` section 1.5. Pure: ids and
time are given.
"""

import msgspec

from longwire_connectors.simulator.deliveries import Delivery, DeliveryRecord, Policy
from longwire_connectors.simulator.errors import AdminRequestError
from longwire_connectors.simulator.injections import EventIds, LarkEvent, LarkMention
from longwire_connectors.simulator.lark_contents import build_content
from longwire_connectors.simulator.lark_discovery import SERVICE_ID
from longwire_connectors.simulator.lark_frames import DATA, LarkFrame, encode
from longwire_connectors.simulator.lark_notices import TENANT_KEY, build_notice, milliseconds, user
from longwire_connectors.simulator.link import MAX_PARTS
from longwire_connectors.simulator.timings import Timings

__all__ = ["build_delivery", "build_payload", "content_of", "split"]

Json = dict[str, object]


def build_delivery(event: LarkEvent, *, index: int, ids: EventIds, now: float, timings: Timings) -> Delivery:
    """Return event number ``index`` of an injection, ready to be sent.

    ``ids.event_ids`` has one id, or one for each attempt where they change.
    """
    attempts = _attempts(event, index=index, ids=ids, now=now)
    is_callback = event.kind == "card" or event.event_type == "url.preview.get"
    is_garbage = event.wire is not None or event.wire_text is not None
    is_repeated = event.is_redelivered and not is_callback and not is_garbage
    ladder = timings.lark_ladder_s if is_repeated else ()
    record = DeliveryRecord(
        app=event.app,
        kind=event.kind,
        frame_message_id=ids.frame_message_id,
        message_id=ids.message_id,
        event_id=ids.event_ids[0],
    )
    policy = Policy(ack_deadline_s=timings.lark_ack_deadline_s, ladder_s=ladder)
    return Delivery(record=record, policy=policy, attempts=attempts, connection=event.connection)


def build_payload(event: LarkEvent, *, index: int, ids: EventIds, event_id: str, now: float) -> bytes:
    """Return the payload: the raw one as it was given, else a schema 2.0 event."""
    if event.raw_text is not None:
        return event.raw_text.encode()
    if event.raw is not msgspec.UNSET:
        return msgspec.json.encode(event.raw)
    own_type, body = _body(event, index=index, ids=ids, now=now)
    header = {
        "event_id": event_id,
        "event_type": event.event_type or own_type,
        "create_time": milliseconds(now),
        "token": "",
        "app_id": event.app,
        "tenant_key": TENANT_KEY,
    }
    return msgspec.json.encode({"schema": "2.0", "header": header, "event": body})


def _attempts(
    event: LarkEvent, *, index: int, ids: EventIds, now: float
) -> tuple[tuple[bytes | str, ...], ...]:
    """Return the WebSocket messages of each attempt."""
    given = event.wire if event.wire is not None else event.wire_text
    if given is not None:
        return ((given,),)
    payloads = [
        build_payload(event, index=index, ids=ids, event_id=event_id, now=now) for event_id in ids.event_ids
    ]
    return tuple(_frames(event, payload, ids=ids, now=now) for payload in payloads)


def _body(event: LarkEvent, *, index: int, ids: EventIds, now: float) -> tuple[str, Json]:
    """Return an injection's own event type, and the ``event`` part of its payload."""
    match event.kind:
        case "card":
            return "card.action.trigger", _card(event, ids=ids)
        case "event":
            return "", build_notice(event, ids=ids, now=now)
        case _:
            return "im.message.receive_v1", _message(event, index=index, ids=ids, now=now)


def split(payload: bytes, parts: int) -> list[bytes]:
    """Return the payload in ``parts`` pieces of nearly equal size, in order; the last ones may be empty."""
    size = -(-len(payload) // parts)
    return [payload[part * size : (part + 1) * size] for part in range(parts)]


def _frames(event: LarkEvent, payload: bytes, *, ids: EventIds, now: float) -> tuple[bytes, ...]:
    pieces = split(payload, event.parts)
    order = event.part_order if event.part_order is not None else list(range(event.parts))
    sequence = [part for part in order if part != event.missing_part]
    if len(sequence) > MAX_PARTS:
        raise AdminRequestError(f"at most {MAX_PARTS} frames for one event")
    return tuple(_frame(event, part, pieces=pieces, ids=ids, now=now) for part in sequence)


def _frame(event: LarkEvent, part: int, *, pieces: list[bytes], ids: EventIds, now: float) -> bytes:
    """Return one part; a part number beyond the parts has an empty payload."""
    headers = {
        "type": event.frame_type,
        "message_id": ids.frame_message_id,
        "sum": str(event.declared_sum if event.declared_sum is not None else event.parts),
        "seq": str(part),
        "trace_id": ids.trace_id,
        "timestamp": milliseconds(now),
        "instance_id": "longwire-simulator",
    }
    kept = {key: value for key, value in headers.items() if key not in event.omitted_headers}
    payload = pieces[part] if part < len(pieces) else b""
    return encode(LarkFrame(method=DATA, service=SERVICE_ID, headers=kept, payload=payload))


def _message(event: LarkEvent, *, index: int, ids: EventIds, now: float) -> Json:
    created = milliseconds(now)
    message: Json = {
        "message_id": ids.message_id,
        "root_id": event.root_id,
        "parent_id": event.parent_id,
        "create_time": created,
        "update_time": created,
        "chat_id": event.chat,
        "thread_id": event.thread_id,
        "chat_type": event.chat_type,
        "message_type": event.message_type,
        "content": content_of(event, index=index),
        "mentions": [_mention(number, mention.name, mention.open_id) for number, mention in _numbered(event)],
        "user_agent": "Mozilla/5.0 (simulated)",
    }
    present = {key: value for key, value in message.items() if value not in (None, [])}
    return {"sender": _sender(event), "message": present}


def _numbered(event: LarkEvent) -> enumerate[LarkMention]:
    return enumerate(event.mentions, start=1)


def _sender(event: LarkEvent) -> Json:
    return {"sender_id": user(event.sender), "sender_type": "user", "tenant_key": TENANT_KEY}


def _mention(number: int, name: str, open_id: str) -> Json:
    return {
        "key": f"@_user_{number}",
        "id": {**user(open_id), "user_id": ""},
        "mentioned_type": "app",
        "name": name,
        "tenant_key": TENANT_KEY,
    }


def content_of(event: LarkEvent, *, index: int) -> str:
    """Return the content of message number ``index`` of an injection."""
    if event.content is not None:
        return event.content
    return build_content(event.message_type, event.text.replace("{n}", str(index)))


def _card(event: LarkEvent, *, ids: EventIds) -> Json:
    """Return a click; fields of event/callback/model/p2_card_action_trigger.py."""
    action = {"value": event.action_value, "tag": event.action_tag, "form_value": event.form_value}
    return {
        "operator": {"tenant_key": TENANT_KEY, **user(event.sender)},
        "token": f"c-{ids.trace_id}",
        "action": {key: value for key, value in action.items() if value is not None},
        "host": "im_message",
        "context": {"open_message_id": ids.message_id, "open_chat_id": event.chat},
    }
