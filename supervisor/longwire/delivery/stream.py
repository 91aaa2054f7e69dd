"""What is in flight to a sole consumer while everything is in order, which is nearly always.

Then nobody asks for an event by its number or its chat: events leave at one end and are acknowledged at the
other. So they are kept as they came, in a queue, and `Dispatch` makes books of them (`chats.py`) only when
something is out of order: that is more than half of what an event would cost.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence

import msgspec

from longwire.journal.records import Stored


class Flight(msgspec.Struct, frozen=True, gc=False):
    """One event to be sent for the first time; looks as an `Entry` does."""

    event: Stored
    attempt: int = 1

    @property
    def seq(self) -> int:
        """Its number."""
        return self.event.seq


class Stream:
    """First deliveries in flight, in `seq` order."""

    def __init__(self) -> None:
        self._events: deque[Stored] = deque()
        self._batches: deque[tuple[int, float]] = deque()
        """The last number of those that were sent together, and when that was."""

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[int]:
        """Yield the numbers, ascending."""
        return (event.seq for event in self._events)

    def __contains__(self, seq: int) -> bool:
        return is_among(self._events, seq)

    @property
    def first(self) -> Stored | None:
        """The first in flight."""
        return self._events[0] if self._events else None

    @property
    def sent_at(self) -> float | None:
        """When the first of them was sent."""
        while self._batches and (not self._events or self._batches[0][0] < self._events[0].seq):
            self._batches.popleft()
        return self._batches[0][1] if self._batches else None

    def send(self, fresh: deque[Stored], n: int, *, now: float) -> list[Flight]:
        """Take up to `n` events out of `fresh`, at least one, and return what to send."""
        events = [fresh.popleft() for _ in range(min(n, len(fresh)))]
        self._events.extend(events)
        self._batches.append((events[-1].seq, now))
        return [Flight(event) for event in events]

    def finish(self, seqs: Sequence[int]) -> list[Stored]:
        """Let go of these as long as each is the first in flight, and return them."""
        events = self._events
        done: list[Stored] = []
        for seq in seqs:
            if not events or events[0].seq != seq:
                break
            done.append(events.popleft())
        return done

    def finish_through(self, seq: int) -> list[Stored]:
        """Let go of everything up to this number, and return it."""
        events = self._events
        done: list[Stored] = []
        while events and events[0].seq <= seq:
            done.append(events.popleft())
        return done

    def drain(self) -> Iterator[tuple[Stored, float]]:
        """Take everything out, with the time at which it was sent."""
        while (sent_at := self.sent_at) is not None:
            yield self._events.popleft(), sent_at


def is_among(events: deque[Stored], seq: int) -> bool:
    """Return whether the event of this number is among these, which are in order and may have gaps."""
    if not events or not events[0].seq <= seq <= events[-1].seq:
        return False
    return events[bisect_left(events, seq, key=_seq)].seq == seq


def _seq(event: Stored) -> int:
    return event.seq
