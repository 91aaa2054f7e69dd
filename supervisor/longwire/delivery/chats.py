"""The window's books: an event held, the chat whose order it keeps, the consumer that may have it.

A chat's held events are three pieces: those in flight, all at one consumer; behind them those that wait to
be sent (again), in `seq` order; and behind them those that were never looked at, which stand in the
dispatch's own queue and have no books yet. An event without chat is a chat of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from itertools import takewhile

import msgspec

from longwire.delivery.records import ConsumerId
from longwire.journal.records import Stored

_SLACK = 64  # books may hold twice what is alive and this much more before they are cleaned


class Chat:
    """What is delivered in order."""

    __slots__ = ("in_flight", "key", "owner", "pending", "wait_until")

    def __init__(self, key: tuple[str, str] | None) -> None:
        self.key = key
        """Account and chat id; `None` for the chat of a single event without one."""
        self.pending: deque[Entry] = deque()
        self.in_flight: dict[int, Entry] = {}
        self.owner: Consumer | None = None
        """Who gets this chat's events as long as any is in flight."""
        self.wait_until: float | None = None
        """When the delay of a failed event ends."""


class Consumer:
    """One client of the subscription."""

    __slots__ = ("credit", "had", "highest", "id", "in_flight", "is_ascending", "number", "ready")

    def __init__(self, consumer_id: ConsumerId, *, number: int, credit: int) -> None:
        self.id = consumer_id
        self.number = number
        self.credit = credit
        self.in_flight: dict[int, Entry] = {}
        """In the order in which they were sent, so the first is the first to be overdue."""
        self.highest = 0
        self.is_ascending = True
        """Whether they were sent in `seq` order."""
        self.had: set[int] = set()
        """What was taken back from it, and may still be acknowledged."""
        self.ready: list[int] = []
        """Heap: the next event of each chat it owns that has one to send; stale numbers are skipped."""

    def sent_up_to(self, seq: int) -> list[Entry]:
        """Return what is in flight here up to this number; looks at all of it only after redeliveries."""
        if self.is_ascending:
            return list(takewhile(lambda entry: entry.seq <= seq, self.in_flight.values()))
        return [entry for entry in self.in_flight.values() if entry.seq <= seq]

    def tidy(self, held: Collection[int]) -> None:
        """Forget what is done in `had`; cheap, as it works only after much has changed."""
        if len(self.had) > 2 * len(held) + _SLACK:
            self.had.intersection_update(held)
        if not self.in_flight:
            self.is_ascending = True


class Entry(msgspec.Struct, eq=False):
    """One event that is, or was, on its way to a consumer."""

    seq: int
    event: Stored
    chat: Chat
    consumer: Consumer | None = None
    """Where it is in flight; `None` while it waits to be sent."""
    attempt: int = 0
    """Deliveries so far."""
    sent_at: float = 0.0
