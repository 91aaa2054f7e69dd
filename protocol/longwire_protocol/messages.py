"""The messages between client and supervisor; `docs/protocol.md` is the authority on them.

One ZeroMQ frame each: a MessagePack map with `kind`. Unknown fields are ignored.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="request"):
    """Asks for something; answered by the `reply` with the same `id`."""

    id: str | int
    """Chosen by the client, unique among its open requests."""
    method: str
    params: dict[str, Any] = {}
    account: str | None = None
    tenant: str | None = None
    idempotency_key: str | None = None
    deadline_ms: int | None = None
    """How long the client waits, from the supervisor's receipt; 30,000 where absent. A command that is
    accepted durably expires then."""
    wait_ms: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """How long to wait for the outcome of such a command before the reply is `accepted`; until its deadline
    where absent."""
    trace: str | None = None


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="reply"):
    """What became of a request."""

    id: str | int
    status: Literal["ok", "failed", "accepted"]
    retcode: int = 0
    data: Any = None
    message: str = ""
    retryable: bool = False
    retry_after_ms: int | None = None


class Events(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="events"):
    """Events of one subscription, in the order of their sequence numbers but for redeliveries."""

    subscription: str
    events: list[msgspec.Raw]
    end: bool = False
    """Whether a replay is over; then there are no events in this frame."""


class Ack(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="ack"):
    """These are done, and never sent again on this subscription."""

    subscription: str
    seqs: list[int] = []
    up_to: int | None = None
    """Every event sent on this connection up to this sequence number."""


class Nack(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="nack"):
    """This one failed; send it and what followed it in its chat again, after the delay."""

    subscription: str
    seq: int
    delay_ms: int | None = None
    """`None`: by the supervisor's own backoff."""
    id: str | int | msgspec.UnsetType | None = msgspec.UNSET
    """If given, a `pong` with this id says that it was read: events before that pong were sent before."""


class Credit(msgspec.Struct, frozen=True, tag_field="kind", tag="credit"):
    """So many more events may be sent."""

    subscription: str
    n: int


class Ping(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="ping"):
    """Are you there? Either side may ask; the other answers `pong` with the same id."""

    id: str | int | None = None


class Pong(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="pong"):
    """I am. The supervisor names itself, so that a client notices a restart; and the connection."""

    id: str | int | None = None
    supervisor_id: str | None = None
    since: str | int | None = None
    """The id of the first request or ping that it read on this connection: what the client sent before that
    one went by an earlier connection, and is not answered any more."""


class Error(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="error"):
    """A frame could not be used; the connection goes on."""

    code: str
    """`malformed`, `too_large`, `not_subscribed`, `bad_ack`."""
    message: str
    subscription: str | None = None
    id: int | str | None = None
    """Of the request that the frame was, where that can be told; there is no other answer to it."""


ToSupervisor = Request | Ack | Nack | Credit | Ping | Pong
ToClient = Reply | Events | Error | Ping | Pong
