"""What is posted of an event: our own JSON, or CloudEvents 1.0. Pure.

========================  ======================================  ===========================================
format                    body                                    content type
========================  ======================================  ===========================================
event                     the event; an array with batches        application/json
cloudevents               one CloudEvent, in structured mode      application/cloudevents+json
cloudevents-batch         an array of them, in batched mode       application/cloudevents-batch+json
========================  ======================================  ===========================================

Whether a body is an array is the target's setting, never how many events happen to be in it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import quote

import msgspec

from longwire.courier.target import Format
from longwire_protocol.event import Event

CONTENT_TYPES: Final[Mapping[Format, str]] = {
    "event": "application/json",
    "cloudevents": "application/cloudevents+json",
    "cloudevents-batch": "application/cloudevents-batch+json",
}

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""What can stand in a header and before the dot of what is signed."""


class _CloudEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """CloudEvents 1.0.2, «Context Attributes», with the extensions «Sequence» and «Distributed Tracing»."""

    specversion: Literal["1.0"]
    id: str
    source: str
    """`/tenants/TENANT/accounts/ACCOUNT`: with `id` it is unique."""
    type: str
    subject: str | None = None
    """The chat."""
    time: datetime | None = None
    datacontenttype: str | None = None
    sequence: str | None = None
    """The event's `seq`, with zeros in front, as it is compared as text."""
    traceparent: str | None = None
    data: msgspec.Raw


def encoded(event: Event, form: Format) -> bytes:
    """Return one event as JSON, as it stands in the body of a format.

    Parts that JSON has no form for, which only a platform's own payload can have, are left out with the whole
    of `raw` and `segments`; the rest is delivered.
    """
    own = _own_json(event)
    if form == "event":
        return own
    return msgspec.json.encode(
        _CloudEvent(
            specversion="1.0",
            id=event.id,
            source=f"/tenants/{quote(event.tenant, safe='')}/accounts/{quote(event.account, safe='')}",
            type=event.type,
            subject=(event.chat.id or None) if event.chat is not None else None,
            time=_time(event.time),
            datacontenttype="application/json",
            sequence=None if event.seq is None else f"{event.seq:020}",
            traceparent=event.trace,
            data=msgspec.Raw(own),
        )
    )


def body(parts: Sequence[bytes], form: Format, *, is_batch: bool) -> bytes:
    """Return the body of a post.

    Args:
        parts: what `encoded` returned for each event, in order; one, unless it is an array.
        form: the target's.
        is_batch: whether the target's `batch_size` is above 1.
    """
    if is_batch or form == "cloudevents-batch":
        return b"[%b]" % b",".join(parts)
    (only,) = parts
    return only


def webhook_id(ids: Sequence[str]) -> str:
    """Return the id of a post of the events with these ids: the same for the same ones.

    One event's is its own; several have a digest of theirs. What fits in no header is digested, too.
    """
    if len(ids) == 1 and _ID.fullmatch(ids[0]) is not None:
        return ids[0]
    digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()
    return f"batch_{digest[:32]}"


def _own_json(event: Event) -> bytes:
    try:
        return msgspec.json.encode(event, enc_hook=_hook)
    except (TypeError, ValueError, RecursionError):
        return msgspec.json.encode(_without_payload(event))


def _without_payload(event: Event) -> Event:
    fields: dict[str, Any] = {field: getattr(event, field) for field in Event.__struct_fields__}
    fields["raw"] = fields["segments"] = None
    return Event(**fields)


def _hook(value: object) -> Any:
    """Return what stands for a MessagePack extension."""
    if isinstance(value, msgspec.msgpack.Ext):
        return {"ext": value.code, "data": value.data}
    raise TypeError(type(value).__name__)


def _time(seconds: float) -> datetime | None:
    """Return it as RFC 3339 has it; `None` for what is in no calendar."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
