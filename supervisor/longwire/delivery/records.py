"""What goes into a delivery window and what comes out of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from longwire.journal.records import Stored

ConsumerId = bytes | str
"""Whatever names one client's connection: a ROUTER's routing id, a webhook's name."""


class WindowLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds and deadlines of one subscription's window."""

    max_events: int = 10_000
    """Events held at once, sent or not; what comes after them stays in the journal and is read later."""
    max_bytes: int = 64 * 1024 * 1024
    """The same in bytes of bodies; one event may exceed it. Windows share bodies that come live."""
    page_events: int = 1_000
    """Most events asked of the journal at once: some milliseconds of the reader's thread."""
    ack_timeout_s: float = 30.0
    """An event not acknowledged this long after it was sent has failed (interfaces.md)."""
    max_attempts: int = 10
    """With so many failures an event becomes a dead letter (interfaces.md)."""
    chat_block_max_s: float = 600.0
    """An event that has held up its chat for so long is a dead letter at its next failure (interfaces.md)."""
    order: Literal["chat", "none"] = "chat"
    """`none`: each event is on its own, so that a failing one holds up no other."""
    backoff_initial_s: float = 0.5
    """Of retries whose delay the client does not choose: a moment for what a subscriber depends on."""
    backoff_max_s: float = 60.0
    """Their longest: ten attempts take three minutes, well within the ten of `chat_block_max_s`."""
    max_failing: int = 1_000
    """Failing events whose counts are persisted, the lowest first: some 50 KB, which are written often."""


class Cause(StrEnum):
    """Why a delivery failed."""

    NACKED = "nacked"  # the client said so
    ACK_TIMEOUT = "ack_timeout"  # no ack in time
    CLIENT_LEFT = "client_left"  # the client was gone before its ack


class Failing(msgspec.Struct, array_like=True, eq=True):
    """The books of an event that failed at least once. Times are Unix seconds."""

    seq: int
    attempt: int
    """Deliveries, failed or not."""
    failures: int
    blocked_s: float
    """In flight or delayed since its first failure; without the time when nobody was there to take it."""
    first_at: float
    last_at: float


class DeadEvent(msgspec.Struct, frozen=True):
    """An event that the window has given up."""

    event: Stored
    failing: Failing
    cause: Cause
    """Of the last failure."""


class Wanted(msgspec.Struct, frozen=True):
    """The piece of the journal the window has room for."""

    after_seq: int
    limit: int
    max_bytes: int


class Progress(msgspec.Struct, frozen=True):
    """How far a subscription has come: what is persisted of a window, and what it is made from again."""

    low_water: int
    """Everything up to this number is done: acknowledged, given up, or not for this subscription."""
    done: list[tuple[int, int]] = []
    """Ranges above `low_water` that are done too, ends included, ascending, disjoint."""
    failing: list[Failing] = []
    """What failed and is not done, at most `max_failing` of it; ascending."""
