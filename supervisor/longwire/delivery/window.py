"""The window of one durable subscription: which event goes to which consumer, when, and when again.

Pure: no clock, no I/O. Times are seconds on any clock that does not go back, given as `now`. The rules are
those of interfaces.md, «Client protocol».

The journal's numbers fall into four parts for a subscription::

    done          | held: waiting to be sent, or in flight   | in the journal, not read | not committed
    <= low_water  |                            <= position   |                  <= head |

New commits are `offer`ed. They are taken as they come while nothing lies between `position` and `head`.
Otherwise, and when the window is full, and while nobody has joined, it *lags*: it ignores what is
offered, and it `wants` a page of the journal whenever it has room and somebody to send to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from longwire.delivery.dispatch import Dispatch
from longwire.delivery.filters import Filters
from longwire.delivery.records import ConsumerId, Progress, Send, Wanted, WindowLimits
from longwire.journal.records import Page, Stored

_ROOM = 8  # a page is wanted when an eighth of the window is free, not for every single acknowledged event


class Window:
    """State of one durable subscription and its consumers; see the module's text."""

    def __init__(
        self,
        progress: Progress,
        *,
        head: int,
        filters: Filters | None = None,
        limits: WindowLimits | None = None,
    ) -> None:
        self.filters = filters or Filters()
        self._limits = limits or WindowLimits()
        self._dispatch = Dispatch(self._limits)
        self._position = progress.low_water
        self._head = max(head, progress.low_water)
        self._done_before = deque(progress.done)
        self._saved = (0, progress.low_water)

    @property
    def low_water(self) -> int:
        """Everything up to this number is done."""
        return next(iter(self._dispatch), self._position + 1) - 1

    @property
    def is_lagging(self) -> bool:
        """Whether there are committed events that the window has not looked at."""
        return self._position < self._head

    @property
    def held_events(self) -> int:
        """How many events are held, in flight or not."""
        return len(self._dispatch)

    @property
    def held_bytes(self) -> int:
        """The bytes of their bodies."""
        return self._dispatch.size_bytes

    @property
    def consumers(self) -> list[ConsumerId]:
        """Who has joined, in that order."""
        return self._dispatch.consumers

    # Events come in.

    def offer(self, events: Sequence[Stored]) -> None:
        """Tell it of every newly committed event, in order; it takes them if it has a use for them now."""
        was_lagging = self.is_lagging
        if events:
            self._head = max(self._head, events[-1].seq)
        if not was_lagging and self._dispatch.has_consumers:
            self._fill(events)

    def wants(self) -> Wanted | None:
        """Return the piece of the journal to read now, if any; read one at a time."""
        free = self._limits.max_events - len(self._dispatch)
        free_bytes = self._limits.max_bytes - self._dispatch.size_bytes
        if not self.is_lagging or not self._dispatch.has_consumers:
            return None
        if free * _ROOM < self._limits.max_events or free_bytes * _ROOM < self._limits.max_bytes:
            return None
        return Wanted(self._position, min(free, self._limits.page_events), free_bytes)

    def add_page(self, page: Page, *, after_seq: int) -> None:
        """Take what was read for `wants`; a page that no longer fits on is ignored."""
        if after_seq != self._position:
            return
        if self._fill(page.events):
            self._position = max(self._position, page.read_to)
            self._head = max(self._head, self._position)

    def skip_through(self, seq: int) -> tuple[int, int] | None:
        """Go on behind this number, because what lies up to it is being removed.

        Returns:
            The first and last number that were not done, if any.
        """
        first = self.low_water + 1
        if first > seq:
            return None
        self._dispatch.drop_through(seq)
        self._position = max(self._position, seq)
        self._head = max(self._head, self._position)
        return first, seq

    def _fill(self, events: Sequence[Stored]) -> bool:
        """Look at the events in order; false if there was no room for all."""
        limits = self._limits
        for event in events:
            if len(self._dispatch) >= limits.max_events or self._dispatch.size_bytes >= limits.max_bytes:
                return False
            if event.seq > self._position:
                self._position = event.seq
                if self.filters.matches(event) and not self._was_done(event.seq):
                    self._dispatch.hold(event)
        return True

    def _was_done(self, seq: int) -> bool:
        done = self._done_before
        while done and done[0][1] < seq:
            done.popleft()
        return bool(done) and done[0][0] <= seq

    # Consumers come, ask, answer and go. `KeyError`: it has not joined.

    def join(self, consumer: ConsumerId, *, credit: int) -> None:
        """Let a consumer have events; one that joins again begins anew, as it may have lost what it had."""
        self._dispatch.join(consumer, credit=credit)

    def leave(self, consumer: ConsumerId) -> None:
        """Hand what it has in flight over to the others; if there are none, it waits for the next to join."""
        self._dispatch.leave(consumer)

    def add_credit(self, consumer: ConsumerId, n: int) -> None:
        """Let so many more events be sent to it."""
        self._dispatch.add_credit(consumer, n)

    def ack(self, consumer: ConsumerId, *, seqs: Sequence[int] = (), up_to: int | None = None) -> list[int]:
        """Take these events as done; return the numbers of `seqs` that were never sent to this consumer.

        What was sent to it and since went to another is done too: its effect has happened. What was done
        before is not an error. `up_to` covers what was sent to this consumer.
        """
        refused = self._dispatch.ack(consumer, seqs=seqs, up_to=up_to)
        return [seq for seq in refused if not self._is_done(seq)]

    def nack(self, consumer: ConsumerId, *, seq: int, delay_s: float, now: float) -> bool:
        """Send the event and what followed it in its chat again, after the delay, at most `max_delay_s`.

        Returns:
            Whether it was ever sent to this consumer. If it is done or no longer in flight there, nothing
            happens.
        """
        return self._dispatch.nack(consumer, seq=seq, delay_s=delay_s, now=now) or self._is_done(seq)

    def _is_done(self, seq: int) -> bool:
        return 0 < seq <= self._position and seq not in self._dispatch

    # Time passes, events go out, and progress is kept.

    def step(self, now: float, *, max_sends: int = 1_000) -> list[Send]:
        """Return what to send now; call it after every other call, and again until it returns nothing.

        Each event goes to the consumer with the most credit of those who may have it, and each costs one.
        """
        return self._dispatch.step(now, max_sends=max_sends)

    def next_deadline(self) -> float | None:
        """Return when `step` must be called even if nothing happens; `None` for never."""
        return self._dispatch.next_deadline()

    def take_progress(self) -> Progress | None:
        """Return what to persist, if anything changed since the last call; looks at all that is held."""
        low_water = self.low_water
        now = (self._dispatch.finished, low_water)
        if now == self._saved:
            return None
        self._saved = now
        return Progress(low_water, list(self._done_ranges(low_water)))

    def _done_ranges(self, low_water: int) -> Iterable[tuple[int, int]]:
        previous = low_water
        for seq in self._dispatch:
            if seq > previous + 1:
                yield previous + 1, seq - 1
            previous = seq
        if previous < self._position:
            yield previous + 1, self._position
        for first, last in self._done_before:
            if last > self._position:
                yield max(first, self._position + 1), last
