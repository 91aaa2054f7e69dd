"""The frames between parent and child: msgspec Structs, one MessagePack map each, told apart by `kind`.

The parent's ROUTER knows a child by the routing id from which a `hello` with a valid one-time token came;
frames of other routing ids are dropped. Private to one release: parent and child are always the same
version or refuse each other at the hello (`CHILD_PROTOCOL`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from longwire_protocol.event import Bot
from longwire_protocol.link import LinkFailure, LinkState


class ProcessLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a child imposes on itself before it runs anything else."""

    nice: int
    """Niceness, 0 to 19."""
    open_files: int
    """Descriptors, soft and hard limit."""


class Bootstrap(msgspec.Struct, frozen=True, kw_only=True):
    """All a child needs to know, written once to its private descriptor and nowhere else."""

    account: str
    tenant: str
    connector: str
    incarnation: int
    endpoint: str
    """Where the parent's ROUTER for children is, `ipc://...`."""
    token: str
    """Valid for one hello of this incarnation."""
    options: dict[str, Any]
    """The connector's own keys of the account, secrets resolved."""
    heartbeat_interval_s: float
    link_timeout_s: float
    is_link_timeout_explicit: bool
    """Whether the operator chose `link_timeout_s`; Lark's pong window depends on it."""
    bot: Bot | None = None
    """Who the bot is, if an earlier incarnation found out."""
    allow_senders: tuple[str, ...] | None = None
    """Ids of those whose events go on; `None`: everybody."""
    limits: ProcessLimits | None = None
    """`None` leaves what was inherited."""
    log_level: str = "info"


# From the child.


class Hello(msgspec.Struct, frozen=True, tag_field="kind", tag="hello"):
    """First frame of a child: its SDK is imported and its loop runs."""

    protocol: int
    token: str
    pid: int
    sdk: str
    """Name and version of the platform SDK, for people."""


class Phase(StrEnum):
    """What a child is doing."""

    IMPORTING = "importing"  # it has not said hello
    CONNECTING = "connecting"  # an attempt is under way
    IDLE = "idle"  # nothing is to be done
    WORKING = "working"  # events are not stored yet, or commands are under way


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="heartbeat"):
    """Sent by the SDK's own loop each `heartbeat_interval_s`. Ages in seconds, `None` for never."""

    at: float
    """When it was made, on the machine's monotonic clock: one may wait long for a parent that was stopped."""
    phase: Phase
    phase_age_s: float
    """For how long, as far as its heartbeats saw."""
    link: LinkState
    socket_proof_age_s: float | None = None
    """Since the peer's last frame or WebSocket pong on the present connection."""
    platform_proof_age_s: float | None = None
    """Since the platform itself last answered (Lark pong); `None` where the platform has no such thing."""
    platform_timeout_s: float | None = None
    """How old platform proof may get; follows the platform's own ping interval."""
    last_frame_age_s: float | None = None
    last_event_age_s: float | None = None
    unstored: int
    """Events handed over and not yet stored."""
    counters: dict[str, int]
    """Growing counts of what was refused, dropped or malformed, by name."""


class LinkUp(msgspec.Struct, frozen=True, tag_field="kind", tag="link_up"):
    """The link is proven: the platform answered on the new connection."""

    connection: str
    """The platform's name for the connection, not a secret."""


class LinkLost(msgspec.Struct, frozen=True, tag_field="kind", tag="link_lost"):
    """The attempt failed or the link ended; its socket is closed. The child now waits for `connect`."""

    failure: LinkFailure


class Identity(msgspec.Struct, frozen=True, tag_field="kind", tag="identity"):
    """Who the bot is on its platform, as soon as the child knows."""

    bot: Bot


class HandedOver(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One event on its way to the journal; an array, because this is the hot path."""

    number: int
    """Grows by one within an incarnation; `Stored` refers to it."""
    type: str
    chat: str | None
    dedup_key: str | None
    recv_time: float
    body: bytes
    """The event as MessagePack map, without `seq` and `delivery`."""


class HandOver(msgspec.Struct, frozen=True, tag_field="kind", tag="events"):
    """Events, all that waited. The platform is not acknowledged before `Stored` covers them."""

    events: list[HandedOver]


class CommandResult(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="result"
):
    """What became of a command."""

    id: int
    retcode: int
    message: str = ""
    data: Any = None
    retryable: bool = False
    retry_after_ms: int | None = None


class Stopped(msgspec.Struct, frozen=True, tag_field="kind", tag="stopped"):
    """The link is closed properly and nothing is left to hand over; the process ends now."""


# From the parent.


class Connect(msgspec.Struct, frozen=True, tag_field="kind", tag="connect"):
    """Make one attempt now."""


class Disconnect(msgspec.Struct, frozen=True, tag_field="kind", tag="disconnect"):
    """Give up the present link, as its proof is too old; answer with `link_lost`."""

    reason: str


class Stored(msgspec.Struct, frozen=True, tag_field="kind", tag="stored"):
    """Every event up to and including this number is on disk (or was there before)."""

    up_to: int


class Command(msgspec.Struct, frozen=True, tag_field="kind", tag="command"):
    """Do something on the platform; answered by `result` with the same id."""

    id: int
    method: str
    params: dict[str, Any]
    deadline_s: float
    """Seconds from now; after that the answer interests nobody."""
    key: str | None = None
    """The same each time that this is asked for again; at most 50 characters."""


class Stop(msgspec.Struct, frozen=True, tag_field="kind", tag="stop"):
    """Close the link, hand over what was received, say `stopped`, exit 0."""

    grace_s: float
    """After this the parent sends SIGTERM."""


FromChild = Hello | Heartbeat | LinkUp | LinkLost | Identity | HandOver | CommandResult | Stopped
ToChild = Connect | Disconnect | Stored | Command | Stop
