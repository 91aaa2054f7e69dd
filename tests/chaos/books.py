"""The platform's book against the subscriber's: pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from chaos.reader import Received
from longwire_connectors.simulator.deliveries import DeliveryRecord, Phase

SPOILT = "spoilt"
"""What the ids of messages begin with that lack something on purpose."""


def missing(
    records: Iterable[DeliveryRecord], received: Iterable[Received], *, account_of: Mapping[str, str]
) -> list[DeliveryRecord]:
    """Return what the platform counts as acked and the subscriber never got."""
    got = {(event.account, event.key) for event in received}
    return [
        record
        for record in records
        if record.phase is Phase.ACKED
        and not is_spoilt(record)
        and (account_of[record.app], key_of(record)) not in got
    ]


def doubled(received: Iterable[Received]) -> list[list[Received]]:
    """Return what got more than one number: events that are one to the platform."""
    by_key: dict[tuple[str, str], list[Received]] = defaultdict(list)
    for event in received:
        if event.key is not None:
            by_key[event.account, event.key].append(event)
    return [events for events in by_key.values() if len(events) > 1]


def skipped(received: Iterable[Received], *, account: str) -> list[str]:
    """Return what is missing among a loopback's events: each process of it numbers its own from 1.

    It hands them over in order, so whatever of them is on disk is all up to some number.
    """
    numbers: dict[str, set[int]] = defaultdict(set)
    for event in received:
        if event.account == account and event.key is not None:
            process, _, number = event.key.rpartition("-")
            numbers[process].add(int(number))
    return [
        f"{process}: {len(found)} events, the last is number {max(found)}"
        for process, found in numbers.items()
        if len(found) != max(found)
    ]


def out_of_order(received: Iterable[Received]) -> list[tuple[Received, Received]]:
    """Return neighbours of a chat that first came in another order than their numbers'.

    `received` are in the order of first delivery.
    """
    pairs = [pair for chat in _by_chat(received) for pair in pairwise(chat)]
    return [(earlier, later) for earlier, later in pairs if earlier.seq > later.seq]


def misnumbered(
    records: Sequence[DeliveryRecord], received: Iterable[Received], *, account_of: Mapping[str, str]
) -> list[tuple[Received, Received]]:
    """Return neighbours of a chat whose numbers are not in the platform's order.

    Only of events that the platform sent once and saw acked: what was pushed again came later, rightly.
    `records` are in the order of sending.
    """
    place = {
        (account_of[record.app], key_of(record)): index
        for index, record in enumerate(records)
        if record.phase is Phase.ACKED and len(record.sent_at) == 1
    }
    wrong: list[tuple[Received, Received]] = []
    for chat in _by_chat(event for event in received if (event.account, event.key) in place):
        numbered = sorted(chat, key=lambda event: event.seq)
        wrong += [
            (earlier, later)
            for earlier, later in pairwise(numbered)
            if place[earlier.account, earlier.key or ""] > place[later.account, later.key or ""]
        ]
    return wrong


def key_of(record: DeliveryRecord) -> str:
    """Return the `dedup_key` that interfaces.md gives this event."""
    return f"e:{record.event_id}" if record.kind == "event" else f"m:{record.message_id}"


def is_spoilt(record: DeliveryRecord) -> bool:
    """Return whether it is no event of the platform, or an unreadable one: it may be acked all the same."""
    return record.kind not in {"message", "event"} or record.message_id.startswith(SPOILT)


def _by_chat(received: Iterable[Received]) -> list[list[Received]]:
    chats: dict[tuple[str, str], list[Received]] = defaultdict(list)
    for event in received:
        if event.chat is not None:
            chats[event.account, event.chat].append(event)
    return list(chats.values())
