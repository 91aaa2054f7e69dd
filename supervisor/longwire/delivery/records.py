"""What goes into a delivery window and what comes out of it."""

from __future__ import annotations

import msgspec

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
    """An event not acknowledged this long after it was sent is sent again (interfaces.md)."""
    max_delay_s: float = 600.0
    """Longest delay a `nack` can ask for: the `chat_block_max_s` of interfaces.md."""


class Send(msgspec.Struct, frozen=True, gc=False):
    """Send this event to this consumer now."""

    consumer: ConsumerId
    seq: int
    attempt: int
    """1 for the first delivery to this subscription since the window was made."""
    body: bytes


class Wanted(msgspec.Struct, frozen=True):
    """The piece of the journal the window has room for."""

    after_seq: int
    limit: int
    max_bytes: int


class Progress(msgspec.Struct, frozen=True):
    """How far a subscription has come: what is persisted of a window, and what it is made from again."""

    low_water: int
    """Everything up to this number is done: acknowledged, or not for this subscription."""
    done: list[tuple[int, int]] = []
    """Ranges above `low_water` that are done too, ends included, ascending, disjoint."""
