"""From the journal to the clients: who subscribes to what, and what of it is put on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from hmac import compare_digest
from secrets import token_hex
from typing import Any

from longwire.control import ANSWERED, Answered, ClientPeer
from longwire.courier.wire import RESERVED
from longwire.deadletteroffice import DeadLetterOffice
from longwire.deadletters import read_letters
from longwire.delivery import Filters, Progress, WindowLimits
from longwire.journal import EventStore, JournalError, Stored
from longwire.logger import get_logger
from longwire.replay import Replays
from longwire.status import SubscriptionStatus
from longwire.subscriptions import EPHEMERAL, STATE_PREFIX, Gap, Limits, Saved, Subscription
from longwire.wishes import ReplayParams, SubscribeParams, UnsubscribeParams, parameters
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.messages import Ack, Credit, Nack, Reply, Request

_log = get_logger("longwire.deliveries")

_SAVE_S = 0.1
"""How often progress is put on disk; what a crash may cost in events delivered once more."""

_MAX_SUBSCRIPTIONS = 1000
"""Those of clients; the webhooks' have a bound of their own (`longwire.webhooks`)."""
_FULL_RETRY_MS = 60_000


class Deliveries:
    """Every subscription."""

    def __init__(
        self,
        journal: EventStore,
        tasks: asyncio.TaskGroup,
        *,
        limits: WindowLimits,
        saved: Mapping[str, Saved],
    ) -> None:
        self._journal = journal
        self._tasks = tasks
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._subscriptions: dict[str, Subscription] = {}
        self._replays = Replays(journal, tasks)
        self._unsaved: set[Subscription] = set()
        self._saving: asyncio.TimerHandle | None = None
        self._is_closed = False
        self.on_gap: Callable[[Gap], None] = _ignore
        self.in_use: Callable[[str], bool] = lambda _name: False
        """Tells whether a reserved name is in use; who left one behind may have it forgotten."""
        self.key: str | None = None
        """What opens reserved names; `None` for nothing."""
        self.dead_letters = DeadLetterOffice(journal, self._subscriptions)
        for key, state in saved.items():
            self._add(key.removeprefix(STATE_PREFIX), state)
        journal.on_committed = self._committed

    @classmethod
    async def open(
        cls, journal: EventStore, tasks: asyncio.TaskGroup, *, limits: WindowLimits | None = None
    ) -> Deliveries:
        """Return the subscriptions as an earlier supervisor left them.

        Raises:
            JournalError: the journal cannot be read.
        """
        saved = await journal.get_states(STATE_PREFIX, Saved)
        deliveries = cls(journal, tasks, limits=limits or WindowLimits(), saved=saved)
        after = ""
        while letters := await read_letters(journal, None, after=after):
            for letter in letters:
                if letter.subscription in deliveries._subscriptions:
                    deliveries._subscriptions[letter.subscription].found(letter)
            after = letters[-1].key
        return deliveries

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

    def status(self) -> list[SubscriptionStatus]:
        """Return the state of each of them."""
        return [subscription.status() for subscription in self._subscriptions.values()]

    def set_key(self, key: str | None) -> None:
        """Have this open reserved names from now on; `None` for nothing."""
        self.key = key

    def find(self, name: str) -> Subscription | None:
        """Return the subscription of this name, if there is one."""
        return self._subscriptions.get(name)

    @property
    def reserved(self) -> list[str]:
        """The reserved names that there are, in use or left behind."""
        return [name for name in self._subscriptions if name.startswith(RESERVED)]

    async def reserve(self, name: str, filters: Filters, limits: Limits) -> None:
        """Have a durable subscription of a reserved name, new or as it was left; on disk when this returns.

        Other filters count for what it has not read yet; another tenant's is forgotten first.

        Raises:
            CommandError: the journal is closing.
        """
        present = self._subscriptions.get(name)
        if present is not None and present.window.filters.tenant != filters.tenant:
            await self.release(name)
            present = None
        if present is not None:
            present.set_limits(limits)
            present.set_filters(filters)
        else:
            present = self._add(name, Saved(filters, Progress(self._journal.head), limits))
            present.is_established = False
        await self._establish(present)

    async def release(self, name: str) -> None:
        """Forget a subscription of a reserved name, if it is there, with its dead letters; on disk on return.

        Raises:
            CommandError: the journal is closing.
        """
        subscription = self._subscriptions.get(name)
        if subscription is not None:
            await self._forget_on_disk(subscription)

    async def subscribe(self, client: ClientPeer, request: Request) -> Answered:
        """Open a subscription for a client; the reply goes out before its first events.

        Raises:
            CommandError: bad parameters, other filters than before, or too many subscriptions.
        """
        params = parameters(request.params, SubscribeParams)
        filters = params.filters(request)
        subscription = self._subscriptions.get(params.name) if params.name else None
        if params.name is not None and params.name.startswith(RESERVED):
            subscription = self._reserved(params)
            filters = subscription.window.filters
        if subscription is None:
            subscription = self._create(params, filters)
        elif subscription.window.filters == filters:
            subscription.set_limits(params.limits())
        if subscription.window.filters != filters:
            raise CommandError(
                RetCode.SUBSCRIPTION_CONFLICT, f"subscription {params.name!r} exists with other filters"
            )
        await self._establish(subscription)
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

    async def unsubscribe(
        self, client: ClientPeer, params: dict[str, Any], *, tenant: str | None = None
    ) -> dict[str, Any]:
        """Close it for this client, or forget it altogether; forgotten on disk when this returns.

        Args:
            client: who asks.
            params: of the request.
            tenant: only a subscription to this tenant's events can be forgotten.

        Raises:
            CommandError: it is not open on this connection; to be forgotten, it does not exist or is open
                elsewhere.
        """
        asked = parameters(params, UnsubscribeParams)
        name = asked.subscription or asked.name
        if name is None:
            raise CommandError(RetCode.BAD_PARAM, "subscription: the name of a subscription is needed")
        if asked.forget:
            self._refuse_reserved(name)
            await self._forget(client, name, tenant=tenant)
        elif name in self._replays:
            self._replays.end(client, name)
        else:
            self._leave(client, self._joined(client, name))
        return {"subscription": name}

    async def replay(self, client: ClientPeer, request: Request) -> Answered:
        """Begin to send a range of the journal; the reply goes out before its first events.

        Raises:
            CommandError: bad parameters, too many subscriptions, or the journal cannot be read.
        """
        params = parameters(request.params, ReplayParams)
        self._refuse_if_full()
        await self._replays.start(client, params, request)
        return ANSWERED

    def ack(self, client: ClientPeer, ack: Ack) -> None:
        """Take events as done.

        Raises:
            CommandError: not subscribed, or numbers that were never sent to this client.
        """
        if ack.subscription in self._replays:
            return  # nothing of a replay is kept
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
        if nack.subscription in self._replays:
            return
        subscription = self._joined(client, nack.subscription)
        delay_s = None if nack.delay_ms is None else max(0, nack.delay_ms) / 1000
        now = self._loop.time()
        if not subscription.window.nack(client.id, seq=nack.seq, delay_s=delay_s, now=now):
            raise CommandError(RetCode.BAD_PARAM, f"never sent on this connection: {nack.seq}")
        subscription.pump()

    def credit(self, client: ClientPeer, credit: Credit) -> None:
        """Let more events be sent.

        Raises:
            CommandError: not subscribed, or a number that is none.
        """
        if credit.n < 1:
            raise CommandError(RetCode.BAD_PARAM, f"credit is given one or more at a time, not {credit.n}")
        if credit.subscription in self._replays:
            self._replays.add_credit(client, credit.subscription, credit.n)
            return
        subscription = self._joined(client, credit.subscription)
        subscription.window.add_credit(client.id, credit.n)
        subscription.pump()

    def client_gone(self, client: ClientPeer) -> None:
        """Hand over what a client had that is gone.

        The first of each chat has failed by that, but not where the courier is gone: it has events of all
        targets, most of them not looked at, and what ended it was hardly one of them.
        """
        for name in tuple(client.subscriptions):
            if name in self._replays:
                self._replays.end(client, name)
            else:
                failed_at = None if name.startswith(RESERVED) else self._loop.time()
                self._leave(client, self._subscriptions[name], failed_at=failed_at)

    def close(self) -> None:
        """Put what is known on its way to the disk, and send nothing more."""
        self._is_closed = True
        self._replays.close()
        if self._saving is not None:
            self._saving.cancel()
        self._unsaved.update(self._subscriptions.values())
        self._save()
        for subscription in self._subscriptions.values():
            subscription.close()

    def _reserved(self, params: SubscribeParams) -> Subscription:
        """Return the subscription of a reserved name, for the one who has the key."""
        subscription = self._subscriptions.get(params.name or "")
        if self.key is None or params.key is None or not compare_digest(params.key, self.key):
            text = f"name: what begins with {RESERVED!r} belongs to webhooks"
            raise CommandError(RetCode.BAD_PARAM, text)
        if subscription is None or subscription.window.filters.tenant != params.tenant:  # it will hear so
            raise CommandError(RetCode.NOT_SUBSCRIBED, f"there is no webhook for {params.name!r}")
        return subscription

    def _refuse_reserved(self, name: str) -> None:
        if name.startswith(RESERVED) and self.in_use(name):
            text = f"subscription {name!r} belongs to a webhook; webhook.remove forgets it"
            raise CommandError(RetCode.SUBSCRIPTION_CONFLICT, text)

    def _create(self, params: SubscribeParams, filters: Filters) -> Subscription:
        self._refuse_if_full()
        head = self._journal.head
        match params.start:
            case "new":
                low_water = head
            case "all":
                low_water = self._journal.removed_to
            case number:
                low_water = min(max(number - 1, self._journal.removed_to), head)
        saved = Saved(filters, Progress(low_water), params.limits())
        subscription = self._add(params.name or EPHEMERAL + token_hex(8), saved)
        subscription.is_established = not subscription.is_durable
        return subscription

    async def _establish(self, subscription: Subscription) -> None:
        """Return when a subscription is on disk; whoever asks for a new one meanwhile waits, too.

        Raises:
            CommandError: the journal is closing, or it was forgotten meanwhile.
        """
        try:
            await subscription.establish()
        except JournalError as exc:
            self._subscriptions.pop(subscription.name, None)
            raise CommandError(RetCode.JOURNAL_UNAVAILABLE, str(exc), retryable=True) from exc
        if self._subscriptions.get(subscription.name) is not subscription:
            text = f"subscription {subscription.name!r} was forgotten meanwhile"
            raise CommandError(RetCode.SUBSCRIPTION_CONFLICT, text, retryable=True)

    async def _forget(self, client: ClientPeer, name: str, *, tenant: str | None) -> None:
        subscription = self._subscriptions.get(name)
        if (
            subscription is None
            or not subscription.is_durable
            or tenant not in {None, subscription.window.filters.tenant}
        ):
            raise CommandError(RetCode.NOT_SUBSCRIBED, f"there is no durable subscription {name!r}")
        if subscription.clients.keys() - {client.id}:
            raise CommandError(
                RetCode.SUBSCRIPTION_CONFLICT, f"subscription {name!r} is open at another client"
            )
        client.subscriptions.discard(name)
        await self._forget_on_disk(subscription)

    async def _forget_on_disk(self, subscription: Subscription) -> None:
        for client in subscription.clients.values():
            client.subscriptions.discard(subscription.name)
        self._drop(subscription)
        letters = subscription.letters.remove(subscription.letters.seqs())
        try:
            await self._journal.save_states({subscription.key: None, **letters})
        except JournalError as exc:
            raise CommandError(RetCode.JOURNAL_UNAVAILABLE, str(exc), retryable=True) from exc

    def _drop(self, subscription: Subscription) -> None:
        for client_id in tuple(subscription.clients):
            subscription.window.leave(client_id)  # else a page that is being read would not be the last
        subscription.clients.clear()
        subscription.close()
        self._unsaved.discard(subscription)
        self._subscriptions.pop(subscription.name, None)

    def _forget_ephemeral(self, subscription: Subscription) -> None:
        if not subscription.is_durable and not subscription.clients:
            self._drop(subscription)

    def _add(self, name: str, saved: Saved) -> Subscription:
        subscription = self._subscriptions[name] = Subscription(
            name,
            saved,
            limits=self._limits,
            journal=self._journal,
            tasks=self._tasks,
            owner=self,
        )
        return subscription

    def _refuse_if_full(self) -> None:
        ours = sum(not name.startswith(RESERVED) for name in self._subscriptions)
        if ours + len(self._replays) >= _MAX_SUBSCRIPTIONS:
            raise CommandError(
                RetCode.SATURATED,
                f"there are {_MAX_SUBSCRIPTIONS} subscriptions",
                retryable=True,
                retry_after_ms=_FULL_RETRY_MS,
            )

    def _joined(self, client: ClientPeer, name: str) -> Subscription:
        subscription = self._subscriptions.get(name)
        if subscription is None or client.id not in subscription.clients:
            raise CommandError(
                RetCode.NOT_SUBSCRIBED, f"subscription {name!r} is not open on this connection"
            )
        return subscription

    def _leave(
        self, client: ClientPeer, subscription: Subscription, *, failed_at: float | None = None
    ) -> None:
        client.subscriptions.discard(subscription.name)
        subscription.clients.pop(client.id, None)
        subscription.window.leave(client.id, failed_at=failed_at)
        if subscription.is_durable:
            subscription.pump()
        else:
            self._forget_ephemeral(subscription)

    def _committed(self, events: list[Stored]) -> None:
        for subscription in tuple(self._subscriptions.values()):
            subscription.offer(events)

    def lost(self, gap: Gap) -> None:
        """See `subscriptions.Owner`."""
        _log.warning(
            "subscription_gap",
            subscription=gap.subscription,
            first=gap.first,
            last=gap.last,
            reason=gap.reason,
        )
        self.on_gap(gap)

    def touched(self, subscription: Subscription) -> None:
        """See `subscriptions.Owner`."""
        is_ours = self._subscriptions.get(subscription.name) is subscription  # else it was forgotten
        if is_ours and not self._is_closed:
            self._unsaved.add(subscription)
            if self._saving is None:
                self._saving = self._loop.call_later(_SAVE_S, self._save)

    def _save(self) -> None:
        self._saving = None
        for subscription in self._unsaved:
            if subscription.is_durable:
                changes = subscription.take_changes()
                if changes:
                    self._journal.put_states(changes)
        self._unsaved.clear()


def _ignore(_: Gap) -> None:
    """Nobody listens yet."""
