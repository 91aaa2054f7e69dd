"""The window's books: an event held, the chat whose order it keeps, the consumer that may have it.

A chat's held events are three pieces: those in flight, all at one consumer; behind them those that wait to
be sent (again), in `seq` order; and behind them those that were never looked at, which stand in the
dispatch's own queue and have no books yet. An event without chat is a chat of its own.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Collection
from itertools import takewhile

import msgspec

from longwire.delivery.records import ConsumerId
from longwire.journal.records import Stored

GIVEN_BACK = sys.maxsize
"""Above every number, so that no ack up to a number covers it."""

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
        self.had: dict[int, int] = {}
        """What was taken back from it and may still be acknowledged, each with its `sent_behind`."""
        self.ready: list[int] = []
        """Heap: the next event of each chat it owns that has one to send; stale numbers are skipped."""

    def note_sent(self, entry: Entry) -> None:
        """Remember what went before, where the numbers do not tell."""
        self.had.pop(entry.seq, None)
        entry.sent_behind = self.highest if entry.seq < self.highest else 0
        if entry.sent_behind:
            self.is_ascending = False
        self.highest = max(self.highest, entry.seq)

    def sent_up_to(self, seq: int) -> list[Entry]:
        """Return what is in flight here that an ack up to this number covers.

        What was sent out of order it covers only if it is above all that was sent before: else it may have
        been on its way when that came. Looks at everything in flight only after redeliveries.
        """
        if self.is_ascending:
            return list(takewhile(lambda entry: entry.seq <= seq, self.in_flight.values()))
        return [e for e in self.in_flight.values() if e.seq <= seq and e.sent_behind < seq]

    def had_up_to(self, seq: int) -> list[int]:
        """Return what was taken back from it and is covered by such an ack: it came too late for these."""
        return [number for number, behind in self.had.items() if number <= seq and behind < seq]

    def tidy(self, held: Collection[int]) -> None:
        """Forget what is done in `had`; cheap, as it works only after much has changed."""
        if len(self.had) > 2 * len(held) + _SLACK:
            self.had = {seq: behind for seq, behind in self.had.items() if seq in held}
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
    sent_behind: int = 0
    """The highest number sent to the consumer before this one, if that is above its own, 0 if not;
    `GIVEN_BACK` if the consumer itself gave it back."""
