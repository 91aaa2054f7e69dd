"""One subscription at the edge: its clients, its clock, its reading, its frames, its state on disk.

What is sent to whom is decided by `longwire.delivery.Window`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, Protocol

import msgspec

from longwire.control import ClientPeer
from longwire.deadletters import DeadLetter, Letters
from longwire.delivery import Filters, Progress, Sends, Wanted, Window, WindowLimits
from longwire.journal import EventStore, JournalDamaged, JournalError, Page, Stored
from longwire.logger import get_logger
from longwire.status import SubscriptionStatus
from longwire_protocol.codec import with_delivery
from longwire_protocol.messages import Events

_log = get_logger("longwire.deliveries")

STATE_PREFIX = "subscription/"
EPHEMERAL = "~"
"""How the names of subscriptions begin that end with their client."""

_FRAME_BYTES = 256 * 1024
"""Bodies in one frame: many small events share its cost, and a slow client gets no lump of megabytes."""

_READ_RETRY_S = 1.0

_DAY_S = 86_400.0
AckTimeout = Annotated[float, msgspec.Meta(ge=0.1, le=_DAY_S)]
MaxAttempts = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
ChatBlockMax = Annotated[float, msgspec.Meta(ge=0.1, le=7 * _DAY_S)]


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a subscription has of its own in place of the supervisor's settings of these names."""

    ack_timeout_s: AckTimeout | None = None
    max_attempts: MaxAttempts | None = None
    chat_block_max_s: ChatBlockMax | None = None
    order: Literal["chat", "none"] | None = None
    backoff_initial_s: float | None = None
    backoff_max_s: float | None = None
    max_events: int | None = None

    def over(self, base: Any) -> Any:
        """Return `base`, a Struct with these fields, with those replaced that are set here."""
        own = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        return msgspec.structs.replace(base, **own)


class Saved(msgspec.Struct, frozen=True):
    """What of a subscription is on disk, beside its dead letters."""

    filters: Filters
    progress: Progress
    limits: Limits = Limits()
    gap: tuple[int, int] | None = None
    """First and last number of what retention took from it latest."""


class Gap(msgspec.Struct, frozen=True):
    """Events that a durable subscription did not have and will not get."""

    subscription: str
    tenant: str | None
    """Of its filter; `None` where it is for all."""
    first: int
    last: int
    reason: Literal["retention", "damage"]


class Owner(Protocol):
    """Who keeps the subscriptions."""

    def touched(self, subscription: Subscription) -> None:
        """There may be something to put on disk."""

    def lost(self, gap: Gap) -> None:
        """A durable subscription will never get these."""


class Subscription:
    """One reader: its window, its clients, its timer, its reading of the journal.

    Args:
        name: of the subscription.
        saved: what it is made of.
        limits: what counts where it has no limits of its own.
        journal: where its events are.
        tasks: owns its reading.
        owner: hears of what is to be put on disk, and of what is lost.
    """

    def __init__(
        self,
        name: str,
        saved: Saved,
        *,
        limits: WindowLimits,
        journal: EventStore,
        tasks: asyncio.TaskGroup,
        owner: Owner,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.name = name
        self.window = Window(
            saved.progress,
            head=journal.head,
            filters=saved.filters,
            limits=saved.limits.over(limits),
            luck=random.random,
            unix_offset_s=time.time() - self._loop.time(),
        )
        self.clients: dict[str, ClientPeer] = {}
        self.letters = Letters(name)
        self._saved = saved
        self._journal = journal
        self._tasks = tasks
        self._owner = owner
        self._timer: asyncio.TimerHandle | None = None
        self._is_reading = False
        self._is_closed = False
        self.is_established = True
        """Whether it is on disk, as far as it ever will be: a new one is not at first."""

    @property
    def is_durable(self) -> bool:
        """Whether it outlives its clients."""
        return not self.name.startswith(EPHEMERAL)

    @property
    def key(self) -> str:
        """Where its state is kept."""
        return STATE_PREFIX + self.name

    def status(self) -> SubscriptionStatus:
        """Return what operators see of it."""
        window, limits = self.window, self.window.limits
        return SubscriptionStatus(
            name=self.name,
            clients=len(self.clients),
            low_water=window.low_water,
            lag=window.lag,
            in_flight=window.in_flight,
            dead_letters=len(self.letters),
            dead_letters_dropped=self.letters.dropped,
            filters=window.filters,
            ack_timeout_s=limits.ack_timeout_s,
            max_attempts=limits.max_attempts,
            chat_block_max_s=limits.chat_block_max_s,
        )

    def set_limits(self, limits: Limits) -> None:
        """Have these limits of its own from now on, beside those it has."""
        own: Limits = limits.over(self._saved.limits)
        if own != self._saved.limits:
            self._saved = msgspec.structs.replace(self._saved, limits=own)
            self.window.limits = limits.over(self.window.limits)
            if self.is_durable:
                self._journal.put_state(self.key, self._saved)

    def set_room(self, max_bytes: int) -> None:
        """Hold so many bytes of events at most from now on, until it is made anew; see `WindowLimits`."""
        if max_bytes != self.window.limits.max_bytes:
            self.window.limits = msgspec.structs.replace(self.window.limits, max_bytes=max_bytes)

    def set_filters(self, filters: Filters) -> None:
        """Be for other events from now on; what is held and not among them is let go of."""
        if filters != self.window.filters:
            self.window.set_filters(filters)
            self._saved = msgspec.structs.replace(self._saved, filters=filters)
            self._journal.put_state(self.key, self._saved)
            self.pump()

    async def establish(self) -> None:
        """Return when it is on disk.

        Raises:
            JournalError: it will not be.
        """
        if not self.is_established:
            await self._journal.save_state(self.key, self._saved)
            self.is_established = True

    def offer(self, events: list[Stored]) -> None:
        """New events are on disk."""
        self.window.offer(events)
        if self.clients:
            self.pump()

    def pump(self) -> None:
        """Send what may be sent now, read what there is room for, and wake up when it is time again."""
        if self._is_closed:  # what is still committed at the end is for the next supervisor to deliver
            return
        while sends := self.window.step(self._loop.time()):
            self._send(sends)
        wanted = self.window.wants()
        if wanted is not None and not self._is_reading:
            self._is_reading = True
            self._tasks.create_task(self._read(), name=f"read for {self.name}")
        self._set_timer()
        if self.is_durable:
            self._owner.touched(self)
        else:
            for dead in self.window.take_dead():
                _log.warning("event_given_up", subscription=self.name, seq=dead.event.seq)

    def skip_through(self, seq: int) -> None:
        """Go on behind this number, and report what is lost by that.

        Where it has done nothing since the report before, that is removed unread, too, sooner or later. So
        this one begins where that one began.
        """
        lost = self.window.skip_through(seq)
        if lost is not None:
            before = self._saved.gap
            first = before[0] if before is not None and before[1] + 1 == lost[0] else lost[0]
            self._saved = msgspec.structs.replace(self._saved, gap=(first, lost[1]))
            self._report(first, lost[1], reason="retention")
            self.pump()

    def found(self, letter: DeadLetter) -> None:
        """Take a dead letter in that is on disk; one on its way again is delivered."""
        self.letters.found(letter)
        if letter.resubmitted_at is not None:
            self.window.resume(letter.event, attempt=letter.attempts)

    def resubmit(self, letter: DeadLetter) -> dict[str, DeadLetter | None]:
        """Deliver a dead letter again; return the states to put on disk now, none if it is gone or under way.

        That it is done can only be put on disk after them, as it takes a client's answer.
        """
        states = self.letters.resubmit(letter)
        if states:
            self.window.resume(letter.event, attempt=letter.attempts)
            self.pump()
        return states

    def close(self) -> None:
        """Send and read nothing more, whatever happens."""
        self._is_closed = True
        self._cancel_timer()

    def take_changes(self) -> dict[str, Any]:
        """Return the states to put on disk, all at once: what is done, and what was given up with it."""
        states: dict[str, Any] = dict(self.letters.remove(self.window.take_resumed_done()))
        for dead in self.window.take_dead():
            states |= self.letters.bury(dead, self.window.limits)
        progress = self.window.take_progress()
        if progress is not None:
            self._saved = msgspec.structs.replace(self._saved, progress=progress)
            states[self.key] = self._saved
        return states

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        self._cancel_timer()
        deadline = self.window.next_deadline()
        if deadline is not None and self.clients:
            self._timer = self._loop.call_at(deadline, self.pump)

    async def _read(self) -> None:
        """Read pages as long as the window has room for them."""
        try:
            while (wanted := self.window.wants()) is not None:
                page = await self._page(wanted)
                self.window.add_page(page, after_seq=wanted.after_seq)
                while sends := self.window.step(self._loop.time()):
                    self._send(sends)
                if page.read_to <= wanted.after_seq:
                    break
        except JournalError as exc:
            _log.error("journal_not_readable", subscription=self.name, error=str(exc))
            self._cancel_timer()
            self._timer = self._loop.call_later(_READ_RETRY_S, self.pump)
            return
        finally:
            self._is_reading = False
        self.pump()

    async def _page(self, wanted: Wanted) -> Page:
        """Return what is wanted of the journal, or how far it is damaged, which is then reported."""
        try:
            return await self._journal.read(wanted.after_seq, limit=wanted.limit, max_bytes=wanted.max_bytes)
        except JournalDamaged as exc:
            self._report(exc.first, exc.last, reason="damage")
            return Page([], exc.last)

    def _report(self, first: int, last: int, *, reason: Literal["retention", "damage"]) -> None:
        if self.is_durable:
            self._owner.lost(Gap(self.name, self.window.filters.tenant, first, last, reason))

    def _send(self, sends: Sends) -> None:
        now = time.time()
        for client_id, entries in sends.items():
            bodies = (with_delivery(e.event.body, e.seq, attempt=e.attempt, now=now) for e in entries)
            for frame in event_frames(self.name, bodies):
                client = self.clients.get(str(client_id))
                if client is not None:  # the frame before may have shown that it is gone
                    client.send(frame)


def event_frames(name: str, events: Iterable[bytes]) -> Iterator[Events]:
    """Yield the frames that carry these events, each encoded with its number and delivery.

    One after the other: all of them at once would be a window's worth.
    """
    frame: list[msgspec.Raw] = []
    size = 0
    for event in events:
        frame.append(msgspec.Raw(event))
        size += len(event)
        if size >= _FRAME_BYTES:
            yield Events(name, frame)
            frame, size = [], 0
    if frame:
        yield Events(name, frame)
