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
from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from longwire.delivery.dispatch import Dispatch, Sends
from longwire.delivery.filters import Filters
from longwire.delivery.records import ConsumerId, DeadEvent, Failing, Progress, Wanted, WindowLimits
from longwire.journal.records import Page, Stored

_ROOM = 8  # a page is wanted when an eighth of the window is free, not for every single acknowledged event


class Window:
    """State of one durable subscription and its consumers; see the module's text.

    Args:
        progress: where it was left, or begins.
        head: the highest number committed.
        filters: what it is for.
        limits: its bounds and deadlines.
        luck: returns numbers uniform in [0, 1), for the delays of retries.
        unix_offset_s: what makes Unix seconds of `now`, for the times of failures that people read.
    """

    def __init__(
        self,
        progress: Progress,
        *,
        head: int,
        filters: Filters | None = None,
        limits: WindowLimits | None = None,
        luck: Callable[[], float] = lambda: 1.0,
        unix_offset_s: float = 0.0,
    ) -> None:
        self.filters = filters or Filters()
        self._takes_all = self.filters == Filters()
        self._dispatch = Dispatch(
            limits or WindowLimits(),
            failing={failing.seq: replace(failing) for failing in progress.failing},
            luck=luck,
            unix_offset_s=unix_offset_s,
        )
        self._position = progress.low_water
        self._head = max(head, progress.low_water)
        self._done_before = deque(progress.done)
        self._saved = (0, progress.low_water)

    @property
    def limits(self) -> WindowLimits:
        """Its bounds and deadlines; those that are set count from now on, also for what is in flight."""
        return self._dispatch.limits

    @limits.setter
    def limits(self, limits: WindowLimits) -> None:
        self._dispatch.limits = limits

    def set_filters(self, filters: Filters) -> None:
        """Be for other events: of what is held, those that are not among them are done."""
        self.filters = filters
        self._takes_all = filters == Filters()
        self._dispatch.keep_only(filters.matches)

    @property
    def low_water(self) -> int:
        """Everything up to this number is done."""
        return next(iter(self._dispatch), self._position + 1) - 1

    @property
    def is_lagging(self) -> bool:
        """Whether there are committed events that the window has not looked at."""
        return self._position < self._head

    @property
    def oldest_at(self) -> float | None:
        """When the first event held was received, in Unix seconds; `None` if none is held."""
        return self._dispatch.oldest_at

    @property
    def held_events(self) -> int:
        """How many events are held, in flight or not."""
        return len(self._dispatch)

    @property
    def held_bytes(self) -> int:
        """The bytes of their bodies."""
        return self._dispatch.size_bytes

    @property
    def in_flight(self) -> int:
        """How many events are sent and not acknowledged."""
        return self._dispatch.in_flight

    @property
    def lag(self) -> int:
        """How many numbers lie between what is done and the journal's end: at most so many events wait."""
        return self._head - self.low_water

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
        limits = self.limits
        free = limits.max_events - len(self._dispatch)
        free_bytes = limits.max_bytes - self._dispatch.size_bytes
        if not self.is_lagging or not self._dispatch.has_consumers:
            return None
        if free * _ROOM < limits.max_events or free_bytes * _ROOM < limits.max_bytes:
            return None
        return Wanted(self._position, min(free, limits.page_events), free_bytes)

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
        room = self.limits.max_events - len(self._dispatch)
        room_bytes = self.limits.max_bytes - self._dispatch.size_bytes
        taken: list[Stored] = []
        is_all = True
        for event in events:
            if room <= len(taken) or room_bytes <= 0:
                is_all = False
                break
            if event.seq > self._position:
                self._position = event.seq
                if (self._takes_all or self.filters.matches(event)) and not (
                    self._done_before and self._was_done(event.seq)
                ):
                    taken.append(event)
                    room_bytes -= len(event.body)
        self._dispatch.hold(taken)
        return is_all

    def _was_done(self, seq: int) -> bool:
        done = self._done_before
        while done and done[0][1] < seq:
            done.popleft()
        return bool(done) and done[0][0] <= seq

    # Consumers come, ask, answer and go. `KeyError`: it has not joined.

    def join(self, consumer: ConsumerId, *, credit: int) -> None:
        """Let a consumer have events; one that joins again begins anew, as it may have lost what it had."""
        self._dispatch.join(consumer, credit=credit)

    def leave(self, consumer: ConsumerId, *, failed_at: float | None = None) -> None:
        """Hand what it has in flight over to the others; if there are none, it waits for the next to join.

        Args:
            consumer: who leaves.
            failed_at: the time, if it is gone without having said so: then the first event of each of its
                chats has failed. Only the one that it has had longest can become a dead letter by this.
        """
        self._dispatch.leave(consumer, failed_at=failed_at)

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

    def nack(self, consumer: ConsumerId, *, seq: int, delay_s: float | None, now: float) -> bool:
        """Count a failure of the event; send it and what followed it in its chat again, after the delay.

        Args:
            consumer: who failed.
            seq: the event.
            delay_s: what the consumer asks for; `None` for the window's own backoff.
            now: the time.

        Returns:
            Whether it was ever sent to this consumer. If it is done or no longer in flight there, nothing
            happens.
        """
        return self._dispatch.nack(consumer, seq=seq, delay_s=delay_s, now=now) or self._is_done(seq)

    # What was given up.

    def take_dead(self) -> list[DeadEvent]:
        """Return what was given up since the last call: put it on disk together with the next progress."""
        return self._dispatch.take_dead()

    def resume(self, event: Stored, *, attempt: int) -> None:
        """Deliver an event that was given up, as the next of its chat; `attempt` deliveries count already."""
        self._dispatch.resume(event, attempt=attempt)

    def take_resumed_done(self) -> list[int]:
        """Return what was resumed and done since the last call, acknowledged or given up again."""
        return self._dispatch.take_resumed_done()

    def discard(self, seq: int) -> None:
        """Forget a resumed event."""
        self._dispatch.discard(seq)

    def _is_done(self, seq: int) -> bool:
        return 0 < seq <= self._position and seq not in self._dispatch

    # Time passes, events go out, and progress is kept.

    def step(self, now: float, *, max_sends: int = 1_000) -> Sends:
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
        now = (self._dispatch.changes, low_water)
        if now == self._saved:
            return None
        self._saved = now
        return Progress(low_water, list(self._done_ranges(low_water)), self._failing())

    def _failing(self) -> list[Failing]:
        alive = [seq for seq in self._dispatch.failing if seq > self._position or seq in self._dispatch]
        return [replace(self._dispatch.failing[seq]) for seq in sorted(alive)[: self.limits.max_failing]]

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
