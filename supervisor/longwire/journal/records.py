"""What goes into the journal and what comes out of it."""

from __future__ import annotations

import msgspec

from longwire_protocol.frames import HandedOver


class CommandRow(msgspec.Struct, frozen=True, kw_only=True):
    """One command that was accepted, as it is on disk; what it says is `longwire.outbox`'s business."""

    number: int
    """Unique, in the order in which they were accepted."""
    receipt: str
    """Unique, too."""
    scope: bytes | None
    """What no other one may share while this one is kept; `None` shares nothing."""
    ended_at: float | None
    """Unix seconds; `None` while something is to be done for it."""
    body: bytes


class Arrivals(msgspec.Struct, frozen=True):
    """Events of one account on their way to the disk, in the order in which they came."""

    account: str
    tenant: str
    events: list[HandedOver]
    """Bodies are never decoded here. Without `dedup_key` an event is never deduplicated."""
    commands: tuple[CommandRow, ...] = ()
    """Written in the same transaction; one whose number is there already is written over."""


class Stored(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One event that is on disk. The same shape is what the journal's file holds."""

    seq: int
    account: str
    tenant: str
    type: str
    chat: str | None
    recv_time: float
    body: bytes


class Commit(msgspec.Struct, frozen=True):
    """What became of some arrivals: all of them are on disk now, some of them perhaps for longer."""

    stored: list[Stored]
    """The new ones, in the order of the arrivals, which is the order of `seq`."""
    duplicates: list[HandedOver]
    """Those whose account and `dedup_key` were known already; acknowledge them like the others."""
    refused: tuple[CommandRow, ...] = ()
    """New commands that were not written, as another one has their scope."""


class Page(msgspec.Struct, frozen=True):
    """One piece of the journal, read in order."""

    events: list[Stored]
    read_to: int
    """Every event up to this number was looked at; a later page starts after it."""


class JournalSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds and delays of the journal."""

    dedup_window_s: float = 86_400.0
    """For how long a redelivery is recognised, at least. 24 h: Lark's last one comes after 7 h."""
    max_waiting_events: int = 20_000
    """Over this many events that wait for the disk, `is_full` holds. 20,000: 0.2 s at 100,000 events/s."""
    max_waiting_bytes: int = 64 * 1024 * 1024
    """The same in bytes of bodies; one batch may exceed it."""
    state_linger_s: float = 0.05
    """How long a lazy `put_state` waits for company; what a crash may cost in acknowledgements."""
    retry_initial_s: float = 0.1
    """Delay after the first failed commit; doubles up to `retry_max_s`."""
    retry_max_s: float = 5.0
    """Longest delay between two tries, so that a disk with room again is noticed within it."""
    open_timeout_s: float = 30.0
    """Opening includes the recovery of a WAL left by a crash, which is at most some 100 MB."""
    read_timeout_s: float = 10.0
    """After it a read is given up with `JournalUnavailable`."""
    close_timeout_s: float = 3.0
    """How long `close` tries to write what waits; below the whole stop's 4 s."""
