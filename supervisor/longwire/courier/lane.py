"""One target's lane: takes its events from their subscription, posts them, leaves the target alone at times.

::

              opened                 breaker opens, Retry-After, want of our own
    OPENING ──────────> DELIVERING ─────────────────────────────────────────────┐
       ^                    ^  the post succeeded                               v
       │                    └────────────────── PROBING <── it is time ──── RESTING
       └── the supervisor was gone               (one event) ── failed ────────>

While it rests its subscription is left, so all that waits goes back to the supervisor, uncounted, and nothing
is kept here. What a failure means for an event, how often it is tried, and what becomes of its chat meanwhile
is the subscription's: here an event is acked or nacked, and forgotten.

It begins with one post at a time, and each success allows twice as many, up to the target's `concurrency`; a
failure leads back to one. So a thousand targets that hang hold a thousand posts, not eight thousand.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from longwire.courier import verdict
from longwire.courier.dressing import Wardrobe
from longwire.courier.errors import PostError
from longwire.courier.hand import Hand, Item
from longwire.courier.http import Answer, Poster
from longwire.courier.permits import Permits
from longwire.courier.record import Record
from longwire.courier.replies import Replies
from longwire.courier.target import Target, credit_of
from longwire.courier.verdict import Kind, Verdict
from longwire.courier.wire import RESERVED, Report, State
from longwire_protocol import breaker
from longwire_protocol.client import Client
from longwire_protocol.errors import CommandError, LongwireError
from longwire_protocol.subscription import IncomingEvent, Subscription

_log = logging.getLogger("longwire.courier")

_REFUSED_S = 60.0
"""How long a target is left alone that our policy forbids: its name may get another address."""

_LEAVE_S = 5.0
"""How long the posts of a target that was changed or removed may take to end by themselves."""

_GATHER_S = 0.05
"""How long an ack may wait for others: at 100 posts a second five share a frame, and a courier that is killed
repeats five posts more."""

_REOPEN_S = 1.0
"""Before a subscription that could not be opened is tried again."""


class Ground(Protocol):
    """What every lane needs of the courier."""

    client: Client
    key: str
    poster: Poster
    permits: Permits
    wardrobe: Wardrobe
    tasks: asyncio.TaskGroup

    def changed(self, lane: Lane) -> None:
        """Its report is another."""

    def disabled(self, lane: Lane, message: str) -> None:
        """Its target wants no more."""


class Lane:
    """One target's; `run` is its life."""

    def __init__(self, target: Target, ground: Ground) -> None:
        self.target = target
        self._ground = ground
        self._loop = asyncio.get_running_loop()
        self._hand = Hand(is_ordered=target.order == "chat", latest_wins=target.latest_wins)
        self._credit = credit = credit_of(target)
        params = {
            "name": RESERVED + target.name,
            "key": ground.key,
            "order": target.order,
            "tenant": target.tenant,
        }
        self._subscription = Subscription(ground.client, params, credit=credit, gather_s=_GATHER_S)
        self._dress = ground.wardrobe.tailor(target)
        self._replies = Replies(target, ground.client)
        self._breaker = breaker.Breaker()
        self._rests_until = 0.0
        self._state: State = "opening"
        self._allowed = 1
        self._workers = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way = 0
        self._is_proven = False
        self._is_ending = False
        self._rest = asyncio.Event()
        self._room = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.record = Record(target.name)

    # Its life.

    async def run(self) -> None:
        """Deliver until it is cancelled; what is under way then is cut off, and comes again."""
        while True:
            await self._until_rested()
            self._rest.clear()
            try:
                await self._subscription.open(credit=1 if self._state == "probing" else self._credit)
            except LongwireError as exc:
                self._trouble(exc)
                continue
            if self._state == "opening":
                self._become("delivering")
            try:
                await self._deliver_until_rest()
            finally:
                self._hand.clear()
                self._ground.changed(self)
            await self._leave()

    async def left(self) -> None:
        """Leave its subscription, after `run` was cancelled; what is under way may take a moment to end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_S):
                await self.drain()
        for worker in self._tasks:
            worker.cancel()
        await self._leave()

    async def drain(self) -> None:
        """Begin no more posts; return when none is under way, and what is done is on its way to be said."""
        self._is_ending = True
        self._hand.clear()
        await self._idle.wait()

    def report(self) -> Report:
        """Return what there is to know of it."""
        now = self._loop.time()
        retry_in_s = self._rests_until - now
        return self.record.report(
            state=self._state,
            queued=len(self._hand),
            under_way=self._under_way,
            breaker=self._breaker,
            retry_in_s=retry_in_s if self._state in {"resting", "refused"} else None,
        )

    async def _until_rested(self) -> None:
        while (left_s := self._rests_until - self._loop.time()) > 0:  # noqa: ASYNC110  # it waits for time
            await asyncio.sleep(left_s)
        if self._state in {"resting", "refused"}:
            self._become("probing")

    async def _deliver_until_rest(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            taking = tasks.create_task(self._take(), name=f"take for {self.target.name}")
            await self._rest.wait()
            taking.cancel()

    async def _leave(self) -> None:
        try:
            await self._subscription.close()
        except LongwireError as exc:
            _log.warning("webhook_not_left", extra={"webhook": self.target.name, "text": str(exc)})

    async def _take(self) -> None:
        """Take events as there is room for them."""
        try:
            async for event in self._subscription:
                self._note_gone(self._hand.add(event))
                self._set_to_work()
                while len(self._hand) >= self._credit:
                    self._room.clear()
                    await self._room.wait()
        except LongwireError as exc:
            self._trouble(exc)
        self._rest.set()  # also where it was ended by whoever opened it after us

    def _trouble(self, exc: LongwireError) -> None:
        """The supervisor does not give us its events: try again in a moment."""
        _log.warning("webhook_subscription_lost", extra={"webhook": self.target.name, "text": str(exc)})
        self._rests_until = max(self._rests_until, self._loop.time() + _REOPEN_S)
        self._rest.set()

    def _become(self, state: State) -> None:
        if state != self._state:
            self._state = state
            self._ground.changed(self)

    # Posting.

    def _set_to_work(self) -> None:
        """Have as many workers as may be for what is in hand; one that finds nothing ends."""
        if not self._may_go_on():
            return
        while self._workers < min(self._allowed, self._under_way + len(self._hand)):
            self._workers += 1
            self._idle.clear()
            worker = self._ground.tasks.create_task(self._work(), name=f"post to {self.target.name}")
            self._tasks.add(worker)
            worker.add_done_callback(self._ended)

    async def _work(self) -> None:
        try:
            while self._may_go_on() and self._workers <= self._allowed:
                await self._once()
        finally:
            self._workers -= 1

    def _ended(self, worker: asyncio.Task[None]) -> None:
        self._tasks.discard(worker)
        if not self._tasks:
            self._idle.set()

    def _may_go_on(self) -> bool:
        return self._hand.is_ready and not (self._rest.is_set() or self._is_ending)

    async def _once(self) -> None:
        """Post once, with what is next when it is our turn, and settle what came of it."""
        items: list[Item] = []
        term = self._breaker.term
        outcome: Answer | PostError
        try:
            async with self._ground.permits.one(self.target.name, is_proven=self._is_proven):
                items = self._hand.take(self.target.batch_size) if self._may_go_on() else []
                if not items:
                    return
                self._room.set()
                self._breaker, wait_s = breaker.ask(self._breaker, now=self._loop.time())
                if wait_s:
                    self._rest_for(wait_s, "resting")
                    return
                term = self._breaker.term
                self._under_way += 1
                self._ground.changed(self)
                try:
                    events = [item.event for item in items]
                    body, headers = self._dress(events)
                    outcome = await self._ground.poster.post(self.target, body, headers)
                except PostError as exc:
                    outcome = exc
                finally:
                    self._under_way -= 1
            await self._settle(items, outcome, term)
        except Exception as exc:  # noqa: BLE001  # the edge of a post: what it broke on may be its events
            _log.exception("webhook_post_broken", extra={"webhook": self.target.name})
            self._broke(items, exc, term)
        finally:
            self._hand.done(items)
            self._room.set()  # a failure drops what waited behind it, too
            self._ground.changed(self)
            self._set_to_work()

    async def _settle(self, items: Sequence[Item], outcome: Answer | PostError, term: int) -> None:
        found = verdict.of(outcome, now=time.time())
        if found.kind is Kind.DELIVERED and isinstance(outcome, Answer):
            await self._delivered(items, outcome)
        else:
            self.record.failed(found, status=outcome.status if isinstance(outcome, Answer) else None)
            self._is_proven = False
            self._allowed = 1
        match found.kind:
            case Kind.DELIVERED:
                pass
            case Kind.RETRY:
                self._nack(items)
            case Kind.RESTS | Kind.BUSY:
                self._rest_for(found.wait_s, "resting")
            case Kind.REFUSED:
                self._rest_for(_REFUSED_S, "refused")
            case Kind.DISABLED:
                self._rest_for(_REFUSED_S, "resting")
                self._ground.disabled(self, found.reason)
        self._report_to_breaker(found, term)

    def _broke(self, items: Sequence[Item], error: Exception, term: int) -> None:
        """Take it as these events' failure, so that others go on, and as nothing that the target did."""
        reason = f"could not be posted: {type(error).__name__}"
        found = Verdict(Kind.RETRY, breaker.Event.GIVEN_UP, reason=reason)
        self.record.failed(found, status=None)
        self._nack(items)
        self._report_to_breaker(found, term)

    def _report_to_breaker(self, found: Verdict, term: int) -> None:
        self._breaker = breaker.report(
            self._breaker,
            found.outcome,
            term=term,
            now=self._loop.time(),
            rest_s=self.target.breaker_open_s,
        )
        if self._breaker.state is breaker.State.OPEN:
            self._rest_for(self._breaker.rests_until - self._loop.time(), "resting")

    async def _delivered(self, items: Sequence[Item], answer: Answer) -> None:
        self._is_proven = True
        self._allowed = min(self.target.concurrency, 2 * self._allowed)
        if self._state == "probing":
            self._become("delivering")
            self._subscription.widen(self._credit)
        try:
            said = await self._replies.carry_out([item.event for item in items], answer)
            self.record.commanded(said)
        except CommandError as exc:
            _log.warning("webhook_reply_waits", extra={"webhook": self.target.name, "text": str(exc)})
            self._nack(items)
            return
        self.record.delivered(len(items))
        for item in items:
            for gone in self._hand.posted(item):
                self.record.superseded += gone.seq != item.seq  # else it is a copy
                self._subscription.ack(gone)
            self._subscription.ack(item.event)

    def _nack(self, items: Sequence[Item]) -> None:
        """Give back the first of each chat; the supervisor sends those behind it once more, after it.

        What came before the subscription was left has gone back by that, and is here again or will be: a
        target's posts may outlast its rest.
        """
        first: dict[object, Item] = {}
        for item in items:
            if self._subscription.has(item.event):
                first.setdefault(item.place, item)
        for item in first.values():
            self._hand.drop_from(item.place, item.seq)
            self._subscription.nack(item.event, delay_s=None)

    def _note_gone(self, gone: Sequence[IncomingEvent]) -> None:
        for event in gone:
            self.record.superseded += 1
            self._subscription.ack(event)

    def _rest_for(self, rest_s: float, state: State) -> None:
        """Leave the target alone, and its subscription with it."""
        self._rests_until = max(self._rests_until, self._loop.time() + rest_s)
        self._allowed = 1
        self._is_proven = False
        self._become(state)
        self._rest.set()
