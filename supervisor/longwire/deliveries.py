"""From the journal to the clients: who subscribes to what, and the frames that carry the events.

What is sent to whom is decided by `longwire.delivery.Window`; here are its clock, its pages of the journal,
its frames, and what of it is put on disk.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from secrets import token_hex
from typing import Annotated, Literal

import msgspec
import structlog

from longwire.control import ANSWERED, Answered, ClientPeer
from longwire.delivery import Filters, Progress, Send, Wanted, Window
from longwire.journal import EventStore, JournalDamaged, JournalError, Page, Stored
from longwire_protocol.codec import with_delivery
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.messages import Ack, Credit, Events, Nack, Reply, Request

_log = structlog.get_logger("longwire.deliveries")

STATE_PREFIX = "subscription/"

_FRAME_BYTES = 256 * 1024
"""Bodies in one frame: many small events share its cost, and a slow client gets no lump of megabytes."""

_SAVE_S = 0.1
"""How often progress is put on disk; what a crash may cost in events delivered once more."""

_READ_RETRY_S = 1.0
_MAX_SUBSCRIPTIONS = 1000
_FULL_RETRY_MS = 60_000
_EPHEMERAL = "~"


class SubscribeParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `events.subscribe` takes."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[^~\s][^\s]{0,127}$")] | None = None
    start: Literal["new", "all"] | Annotated[int, msgspec.Meta(ge=1)] = "new"
    types: list[str] | None = None
    accounts: list[str] | None = None
    tenant: str | None = None
    credit: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 100


class Saved(msgspec.Struct, frozen=True):
    """What of a subscription is on disk."""

    filters: Filters
    progress: Progress


class Gap(msgspec.Struct, frozen=True):
    """Events that a durable subscription did not have and will not get."""

    subscription: str
    tenant: str | None
    """Of its filter; `None` where it is for all."""
    first: int
    last: int
    reason: Literal["retention", "damage"]


class Subscription:
    """One named reader at the edge: its window, its clients, its timer, its reading of the journal."""

    def __init__(
        self,
        name: str,
        window: Window,
        journal: EventStore,
        tasks: asyncio.TaskGroup,
        touched: Callable[[Subscription], None],
        lost: Callable[[Gap], None],
    ) -> None:
        self.name = name
        self.window = window
        self.clients: dict[str, ClientPeer] = {}
        self._journal = journal
        self._tasks = tasks
        self._touched = touched
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._is_reading = False

    @property
    def is_durable(self) -> bool:
        """Whether it outlives its clients."""
        return not self.name.startswith(_EPHEMERAL)

    def offer(self, events: list[Stored]) -> None:
        """New events are on disk."""
        self.window.offer(events)
        if self.clients:
            self.pump()

    def pump(self) -> None:
        """Send what may be sent now, read what there is room for, and wake up when it is time again."""
        while sends := self.window.step(self._loop.time()):
            self._send(sends)
        wanted = self.window.wants()
        if wanted is not None and not self._is_reading:
            self._is_reading = True
            self._tasks.create_task(self._read(), name=f"read for {self.name}")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self.window.next_deadline()
        if deadline is not None and self.clients:
            self._timer = self._loop.call_at(deadline, self.pump)
        self._touched(self)

    def skip_through(self, seq: int) -> None:
        """Go on behind this number, and report what is lost by that."""
        lost = self.window.skip_through(seq)
        if lost is not None:
            self._report(*lost, reason="retention")
            self.pump()

    def _report(self, first: int, last: int, *, reason: Literal["retention", "damage"]) -> None:
        if self.is_durable:
            self._lost(Gap(self.name, self.window.filters.tenant, first, last, reason))

    def close(self) -> None:
        """Wake up no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

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

    def _send(self, sends: list[Send]) -> None:
        by_client: dict[str, list[Send]] = defaultdict(list)
        for send in sends:
            by_client[str(send.consumer)].append(send)
        for client_id, mine in by_client.items():
            for events in _frames(mine):
                client = self.clients.get(client_id)
                if client is not None:  # the frame before may have shown that it is gone
                    client.send(Events(self.name, events))


def _frames(sends: list[Send]) -> Iterator[list[msgspec.Raw]]:
    """Yield what each frame carries, one after the other: all of them at once would be a window's worth."""
    events: list[msgspec.Raw] = []
    size = 0
    for send in sends:
        events.append(msgspec.Raw(with_delivery(send.body, send.seq, attempt=send.attempt)))
        size += len(send.body)
        if size >= _FRAME_BYTES:
            yield events
            events, size = [], 0
    if events:
        yield events


class Deliveries:
    """Every subscription."""

    def __init__(self, journal: EventStore, tasks: asyncio.TaskGroup, saved: dict[str, Saved]) -> None:
        self._journal = journal
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._subscriptions: dict[str, Subscription] = {}
        self._unsaved: set[Subscription] = set()
        self._saving: asyncio.TimerHandle | None = None
        self._is_closed = False
        self.on_gap: Callable[[Gap], None] = _ignore
        for key, state in saved.items():
            window = Window(state.progress, head=journal.head, filters=state.filters)
            self._add(key.removeprefix(STATE_PREFIX), window)
        journal.on_committed = self._committed

    @classmethod
    async def open(cls, journal: EventStore, tasks: asyncio.TaskGroup) -> Deliveries:
        """Return the subscriptions as an earlier supervisor left them.

        Raises:
            JournalError: the journal cannot be read.
        """
        return cls(journal, tasks, await journal.get_states(STATE_PREFIX, Saved))

    @property
    def count(self) -> int:
        """How many subscriptions there are, with clients or without."""
        return len(self._subscriptions)

    @property
    def low_water(self) -> int | None:
        """Up to where every durable subscription is done; `None` if there is none."""
        durable = (s.window.low_water for s in self._subscriptions.values() if s.is_durable)
        return min(durable, default=None)

    def skip_through(self, seq: int) -> None:
        """Let every subscription go on behind this number, which is being removed; report what they lose.

        Positions and reports are on their way to the disk when this returns.
        """
        for subscription in tuple(self._subscriptions.values()):
            subscription.skip_through(seq)
        if self._saving is not None:
            self._saving.cancel()
        self._save()

    async def subscribe(self, client: ClientPeer, request: Request) -> Answered:
        """Open a subscription for a client; the reply goes out before its first events.

        Raises:
            CommandError: bad parameters, other filters than before, or too many subscriptions.
        """
        try:
            params = msgspec.convert(request.params, SubscribeParams)
        except msgspec.ValidationError as exc:
            raise CommandError(RetCode.BAD_PARAM, str(exc)) from exc
        filters = Filters(
            accounts=None if params.accounts is None else frozenset(params.accounts),
            types=None if params.types is None else frozenset(params.types),
            tenant=params.tenant or request.tenant,
        )
        subscription = self._subscriptions.get(params.name) if params.name else None
        if subscription is None:
            subscription = await self._create(params, filters)
        if subscription.window.filters != filters:
            raise CommandError(
                RetCode.SUBSCRIPTION_CONFLICT, f"subscription {params.name!r} exists with other filters"
            )
        if client.is_gone:
            self._forget_ephemeral(subscription)
            return ANSWERED
        data = {"subscription": subscription.name, "next_seq": subscription.window.low_water + 1}
        client.send(Reply(id=request.id, status="ok", data=data))
        subscription.clients[client.id] = client
        subscription.window.join(client.id, credit=params.credit)
        client.subscriptions.add(subscription.name)
        subscription.pump()
        return ANSWERED

    def unsubscribe(self, client: ClientPeer, name: str) -> None:
        """Close it for this client.

        Raises:
            CommandError: it is not open on this connection.
        """
        self._leave(client, self._joined(client, name))

    def ack(self, client: ClientPeer, ack: Ack) -> None:
        """Take events as done.

        Raises:
            CommandError: not subscribed, or numbers that were never sent to this client.
        """
        subscription = self._joined(client, ack.subscription)
        refused = subscription.window.ack(client.id, seqs=ack.seqs, up_to=ack.up_to)
        subscription.pump()
        if refused:
            raise CommandError(RetCode.BAD_PARAM, f"never sent on this connection: {refused[:10]}")

    def nack(self, client: ClientPeer, nack: Nack) -> None:
        """Take an event as failed.

        Raises:
            CommandError: not subscribed, or never sent to this client.
        """
        subscription = self._joined(client, nack.subscription)
        delay_s, now = max(0, nack.delay_ms) / 1000, self._loop.time()
        if not subscription.window.nack(client.id, seq=nack.seq, delay_s=delay_s, now=now):
            raise CommandError(RetCode.BAD_PARAM, f"never sent on this connection: {nack.seq}")
        subscription.pump()

    def credit(self, client: ClientPeer, credit: Credit) -> None:
        """Let more events be sent.

        Raises:
            CommandError: not subscribed, or a number that is none.
        """
        subscription = self._joined(client, credit.subscription)
        if credit.n < 1:
            raise CommandError(RetCode.BAD_PARAM, f"credit is given one or more at a time, not {credit.n}")
        subscription.window.add_credit(client.id, credit.n)
        subscription.pump()

    def client_gone(self, client: ClientPeer) -> None:
        """Hand over what a client had that is gone."""
        for name in tuple(client.subscriptions):
            self._leave(client, self._subscriptions[name])

    def close(self) -> None:
        """Put what is known on its way to the disk, and send nothing more."""
        self._is_closed = True
        if self._saving is not None:
            self._saving.cancel()
        self._unsaved.update(self._subscriptions.values())
        self._save()
        for subscription in self._subscriptions.values():
            subscription.close()

    async def _create(self, params: SubscribeParams, filters: Filters) -> Subscription:
        if len(self._subscriptions) >= _MAX_SUBSCRIPTIONS:
            raise CommandError(
                RetCode.SATURATED,
                f"there are {_MAX_SUBSCRIPTIONS} subscriptions",
                retryable=True,
                retry_after_ms=_FULL_RETRY_MS,
            )
        head = self._journal.head
        match params.start:
            case "new":
                low_water = head
            case "all":
                low_water = self._journal.removed_to
            case number:
                low_water = min(max(number - 1, self._journal.removed_to), head)
        window = Window(Progress(low_water), head=head, filters=filters)
        subscription = self._add(params.name or _EPHEMERAL + token_hex(8), window)
        if subscription.is_durable:
            saved = Saved(filters, Progress(low_water))
            try:
                await self._journal.save_state(STATE_PREFIX + subscription.name, saved)
            except JournalError as exc:
                self._subscriptions.pop(subscription.name, None)
                raise CommandError(RetCode.JOURNAL_UNAVAILABLE, str(exc), retryable=True) from exc
        return subscription

    def _forget_ephemeral(self, subscription: Subscription) -> None:
        if not subscription.is_durable and not subscription.clients:
            subscription.close()
            self._unsaved.discard(subscription)
            self._subscriptions.pop(subscription.name, None)

    def _add(self, name: str, window: Window) -> Subscription:
        subscription = Subscription(name, window, self._journal, self._tasks, self._touch, self._lost)
        self._subscriptions[name] = subscription
        return subscription

    def _joined(self, client: ClientPeer, name: str) -> Subscription:
        subscription = self._subscriptions.get(name)
        if subscription is None or client.id not in subscription.clients:
            raise CommandError(
                RetCode.NOT_SUBSCRIBED, f"subscription {name!r} is not open on this connection"
            )
        return subscription

    def _leave(self, client: ClientPeer, subscription: Subscription) -> None:
        client.subscriptions.discard(subscription.name)
        subscription.clients.pop(client.id, None)
        subscription.window.leave(client.id)
        if subscription.is_durable:
            subscription.pump()
        else:
            self._forget_ephemeral(subscription)

    def _committed(self, events: list[Stored]) -> None:
        for subscription in tuple(self._subscriptions.values()):
            subscription.offer(events)

    def _lost(self, gap: Gap) -> None:
        _log.warning(
            "subscription_gap",
            subscription=gap.subscription,
            first=gap.first,
            last=gap.last,
            reason=gap.reason,
        )
        self.on_gap(gap)

    def _touch(self, subscription: Subscription) -> None:
        if subscription.is_durable and not self._is_closed:
            self._unsaved.add(subscription)
            if self._saving is None:
                self._saving = self._loop.call_later(_SAVE_S, self._save)

    def _save(self) -> None:
        self._saving = None
        for subscription in self._unsaved:
            if subscription.is_durable:
                progress = subscription.window.take_progress()
                if progress is not None:
                    saved = Saved(subscription.window.filters, progress)
                    self._journal.put_state(STATE_PREFIX + subscription.name, saved)
        self._unsaved.clear()


def _ignore(_: Gap) -> None:
    """Nobody listens yet."""
