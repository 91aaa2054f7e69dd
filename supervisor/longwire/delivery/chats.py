"""The window's books: an event held, the chat whose order it keeps, the consumer that may have it.

A chat's held events are two pieces: those in flight, all at one consumer, and behind them those that wait
to be sent (again), in `seq` order. An event without chat is a chat of its own.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush

from longwire.delivery.records import ConsumerId

_SLACK = 64  # books may hold twice what is alive and this much more before they are cleaned


class Entry:
    """One event held by the window."""

    __slots__ = ("attempt", "body", "chat", "consumer", "deadline", "seq")

    def __init__(self, seq: int, *, chat: Chat, body: bytes) -> None:
        self.seq = seq
        self.chat = chat
        self.body = body
        self.attempt = 0
        self.consumer: Consumer | None = None
        """Where it is in flight; `None` while it waits to be sent."""
        self.deadline = 0.0
        """When its acknowledgement is overdue, while it is in flight."""


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
        """When the delay of a `nack` ends."""


class Consumer:
    """One client of the subscription."""

    __slots__ = ("credit", "id", "in_flight", "number", "ready", "sent", "sent_in_order")

    def __init__(self, consumer_id: ConsumerId, *, number: int, credit: int) -> None:
        self.id = consumer_id
        self.number = number
        self.credit = credit
        self.in_flight = 0
        self.ready: list[int] = []
        """Heap: the next event of each chat it owns that has one to send; stale numbers are skipped."""
        self.sent: set[int] = set()
        """Numbers ever sent to it and, as far as it knows, not done."""
        self.sent_in_order: list[int] = []
        """Heap of the same numbers, for `up_to`; may hold some that are done."""

    def note_sent(self, seq: int) -> None:
        """Remember that it may acknowledge `seq` from now on."""
        if seq not in self.sent:
            self.sent.add(seq)
            heappush(self.sent_in_order, seq)

    def take_sent(self, up_to: int) -> list[int]:
        """Remove and return all numbers sent to it up to `up_to`, ascending."""
        taken: list[int] = []
        heap = self.sent_in_order
        while heap and heap[0] <= up_to:
            seq = heappop(heap)
            if seq in self.sent:
                self.sent.discard(seq)
                taken.append(seq)
        return taken

    def tidy(self, held: dict[int, Entry]) -> None:
        """Forget what others acknowledged in its place; cheap, as it works only after much has changed."""
        if len(self.sent) > 2 * len(held) + _SLACK:
            self.sent.intersection_update(held)
        if len(self.sent_in_order) > 2 * len(self.sent) + _SLACK:
            self.sent_in_order = sorted(self.sent)
