"""A client's end of a subscription: an async iterator of events, with credit and acks behind it.

It is *opened* by a request, more than once in its life: a supervisor that was restarted, or that lost this
client, knows nothing of it and delivers everything unacked again. Events of an earlier opening cannot be
acked any more; that they are done is remembered here, and said when they come again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypedDict

import msgspec

from longwire_protocol.errors import ClientForked, LongwireError
from longwire_protocol.event import Event
from longwire_protocol.messages import Ack, Credit, Events, Nack

_log = logging.getLogger("longwire.client")

Start = Literal["new", "all"] | int


Order = Literal["chat", "none"]


class SubscriptionLimits(TypedDict, total=False):
    """What a subscription may have in place of the supervisor's settings of these names, and its order."""

    ack_timeout_s: float
    max_attempts: int
    chat_block_max_s: float
    order: Order


_MAX_REMEMBERED = 10_000
"""Events remembered as done until they come again; some never do, as another client of the name gets them."""


class IncomingEvent(Event, kw_only=True, omit_defaults=True, dict=True):
    """An event as a subscription delivers it; `ack` it when its effect is done."""

    async def ack(self) -> None:
        """Say that this event is done and must not come again."""
        self._subscription.ack(self)

    async def nack(self, *, delay_s: float | None = None) -> None:
        """Say that this event failed: it and what followed it in its chat come again, after the delay.

        Without a delay the supervisor chooses one, which grows with each failure of the event.
        """
        self._subscription.nack(self, delay_s=delay_s)

    def key(self, step: str = "") -> str:
        """Return an idempotency key, the same at each delivery of this event to this subscription.

        Args:
            step: tells the commands apart that a handler gives for one event.
        """
        return "/".join(filter(None, (self._subscription.name, self.id, step)))

    def delivered_by(self, subscription: Subscription, opening: int) -> None:
        """Remember whom to tell; for the subscription."""
        vars(self).update(subscription=subscription, opening=opening)

    @property
    def opening(self) -> int:
        """By which opening of its subscription it came."""
        opening: int = vars(self)["opening"]
        return opening

    @property
    def place(self) -> tuple[str, str] | None:
        """The account and chat in which order is kept; `None` without a chat."""
        return None if self.chat is None else (self.account, self.chat.id)

    @property
    def _subscription(self) -> Subscription:
        subscription: Subscription = vars(self)["subscription"]
        return subscription


class Line(Protocol):
    """What a subscription needs of its client."""

    def tell(self, frame: Ack | Nack | Credit) -> bool:
        """Send a frame without waiting; `False` when the supervisor does not read now."""
        ...

    def new_id(self) -> int:
        """Return a number for a frame that is answered; they grow."""
        ...

    def await_pong(self, number: int, subscription: Subscription) -> None:
        """Call `caught_up` when the supervisor has answered this number, or a later one."""
        ...

    def open_subscription(
        self, subscription: Subscription, method: str, params: dict[str, Any]
    ) -> asyncio.Future[LongwireError | None]:
        """Ask by this method for it, and call `opened` before its first event; return what refused it."""
        ...

    async def close_subscription(self, subscription: Subscription) -> None:
        """Give it up on both sides; what is under way for it is given up when its reply comes."""
        ...


class _Nacked(msgspec.Struct):
    """An event that failed. Until the supervisor has read that, what it sends from it on is stale."""

    seq: int
    place: tuple[str, str] | None
    delay_ms: int | None
    number: int | None = None
    """Of the frame that said so; `None` before."""

    def concerns(self, event: IncomingEvent) -> bool:
        """Whether the supervisor takes this event back when it reads it."""
        seq = event.seq or 0
        return seq == self.seq or (self.place is not None and seq > self.seq and event.place == self.place)


class Subscription(AsyncIterator[IncomingEvent]):
    """Events of one named, durable reader, or of an unnamed one that ends with its client.

    Iterate over it in one task. Events not yet handed to the caller never exceed `credit`. An ack may wait
    for others for `gather_s`, to be said with them in one frame: one by one each costs a frame.
    """

    _method = "events.subscribe"

    def __init__(self, line: Line, params: dict[str, Any], *, credit: int, gather_s: float = 0.0) -> None:
        self._line = line
        self._params = params
        self._credit = credit
        self._decode = msgspec.msgpack.Decoder(IncomingEvent).decode
        self._opening: asyncio.Future[LongwireError | None] | None = None
        self._openings = 0
        self._events: deque[IncomingEvent] = deque()
        self._copies: set[int] = set()
        """The redelivered ones among them: the ack of an earlier delivery may come first."""
        self._arrived = asyncio.Event()
        self._taken = 0
        self._acked: list[int] = []
        self._is_ordered = params.get("order") != "none"
        self._nacked: deque[_Nacked] = deque()
        self._barriers: deque[_Nacked] = deque()
        """Those that were sent and not answered yet."""
        self._done_before: dict[int, None] = {}
        self._gather_s = gather_s
        self._flush: asyncio.Handle | None = None
        self._is_flush_now = False
        self._failure: BaseException | None = None
        self.name: str | None = params.get("name")
        """The subscription's name; given by the supervisor for an unnamed one, once it is open."""
        self.is_open = False

    async def open(self, *, credit: int | None = None) -> None:
        """Open it, or open it again; what was not acked comes again. Who else is at it is joined.

        A caller that is cancelled leaves the request under way, so that what it opens is not lost.

        Args:
            credit: events that may be on their way at once, from now on; as before where `None`.

        Raises:
            CommandError: refused, e.g. because it exists with other filters.
            SupervisorUnreachable: nobody answered.
        """
        if self._opening is None or self._opening.done():
            self._failure = None
            self._credit = self._credit if credit is None else credit
            self._opening = self._line.open_subscription(
                self, self._method, {**self._params, "credit": self._credit}
            )
        refusal = await asyncio.shield(self._opening)
        if refusal is not None:
            raise refusal

    def widen(self, credit: int) -> None:
        """Let so many events be on their way at once, if that is more than before."""
        if credit > self._credit:
            self._taken += credit - self._credit if self.is_open else 0
            self._credit = credit
            self._soon()

    def has(self, event: IncomingEvent) -> bool:
        """Whether an event came by the present opening; one that did not comes again, unless it is acked."""
        return self.is_open and event.opening == self._openings

    def opened(self, name: str) -> None:
        """It is open under this name; for the client."""
        self.lost()
        self.name = name
        self.is_open = True
        self._openings += 1
        self._taken = 0

    def lost(self) -> None:
        """The supervisor does not know it any more; what was not acked will come again. For the client."""
        self.is_open = False
        self._events.clear()
        self._copies.clear()
        self._nacked.clear()
        self._barriers.clear()
        for seq in self._acked:
            self._remember(seq)
        self._acked = []

    async def close(self) -> None:
        """End it; a named one can be opened again and goes on where its acks ended."""
        self.end()
        await self._line.close_subscription(self)

    async def __aenter__(self) -> Self:
        """Open it."""
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()

    async def __anext__(self) -> IncomingEvent:
        """Return the next event; waits for ever where none comes."""
        if not self._openings and self._failure is None:
            await self.open()
        while not self._events:
            if self._failure is not None:
                raise self._failure
            self._arrived.clear()
            await self._arrived.wait()
        event = self._events.popleft()
        if self._copies:
            self._copies.discard(event.seq or 0)
        self._give_back(1)
        return event

    def ack(self, event: IncomingEvent) -> None:
        """See `IncomingEvent.ack`."""
        if event.seq is None:
            return
        may_say = self.has(event)
        if not may_say or event.seq in self._copies:  # a scan for each ack would cost too much
            may_say |= self._drop(lambda waiting: waiting.seq == event.seq) > 0  # it came again, and waits
        if may_say:
            self._acked.append(event.seq)
            self._soon(self._gather_s)
        elif isinstance(self._failure, ClientForked):
            raise self._failure
        else:
            self._remember(event.seq)

    def nack(self, event: IncomingEvent, *, delay_s: float | None) -> None:
        """See `IncomingEvent.nack`. One of an earlier opening comes again by itself."""
        if event.seq is None or self.name is None or not self.has(event):
            return
        self._drop_from(event)
        delay_ms = None if delay_s is None else round(delay_s * 1000)
        self._nacked.append(_Nacked(event.seq, self._place(event), delay_ms))
        self._soon()

    def caught_up(self, number: int) -> None:
        """The supervisor has read what was sent up to this number; for the client."""
        while self._barriers and (self._barriers[0].number or 0) <= number:
            self._barriers.popleft()

    def deliver(self, frame: Events) -> None:
        """Take events from the supervisor; what comes while it is not open comes again. For the client."""
        if self._failure is not None or not self.is_open:
            return
        for raw in frame.events:
            try:
                event = self._decode(raw)
            except (msgspec.MsgspecError, UnicodeDecodeError) as exc:  # left unacked, so it is not lost
                _log.warning("unreadable event on subscription %s: %s", self.name, exc)
                self._give_back(1)
                continue
            self._deliver(event)
        if frame.end:
            self.is_open = False
            self._failure = StopAsyncIteration()
        self._arrived.set()

    def fail(self, failure: BaseException) -> None:
        """End the iteration with an error, after the events that arrived; for the client."""
        self._failure = failure
        self._arrived.set()

    def end(self) -> None:
        """Say what is done and end the iteration, now: what waits could not be acked; for the client."""
        self._flush_now()
        self.lost()
        self._opening = None  # whoever opens it from now on asks anew
        self.fail(StopAsyncIteration())

    def abandon(self, failure: LongwireError) -> None:
        """End it in the child of a fork, where no loop may be touched; for the client."""
        self.is_open = False
        self._events.clear()
        self._failure = failure

    def flush(self) -> None:
        """Send what waits; for the client, when the supervisor reads again."""
        if self._acked or self._nacked or self._taken:
            self._soon()

    def probe(self) -> None:
        """Send an empty ack: a supervisor that does not know the subscription says so; for the client."""
        if self.is_open and self.name is not None:
            self._line.tell(Ack(subscription=self.name))

    def _deliver(self, event: IncomingEvent) -> None:
        if event.seq in self._done_before:
            del self._done_before[event.seq]
            self._acked.append(event.seq)
            self._give_back(1)
            self._soon()
            return
        if (self._nacked or self._barriers) and self._is_stale(event):
            self._give_back(1)
            return
        if event.delivery is not None and event.delivery.redelivered:
            self._drop_from(event)
            self._copies.add(event.seq or 0)
        event.delivered_by(self, self._openings)
        self._events.append(event)

    def _drop_from(self, event: IncomingEvent) -> None:
        """Drop what waits of its chat from this event on: it comes again, in order."""
        self._drop(_Nacked(event.seq or 0, self._place(event), None).concerns)

    def _is_stale(self, event: IncomingEvent) -> bool:
        """Whether it was sent before the supervisor knew of a failure, and so comes again, in order."""
        return any(nacked.concerns(event) for group in (self._nacked, self._barriers) for nacked in group)

    def _place(self, event: IncomingEvent) -> tuple[str, str] | None:
        """Return what it keeps its order with."""
        return event.place if self._is_ordered else None

    def _drop(self, is_unwanted: Callable[[IncomingEvent], bool]) -> int:
        kept = [event for event in self._events if not is_unwanted(event)]
        dropped = len(self._events) - len(kept)
        if dropped:
            self._events = deque(kept)
            self._copies.intersection_update([event.seq or 0 for event in kept])
            self._give_back(dropped)
        return dropped

    def _give_back(self, n: int) -> None:
        """Count events that need no room here any more; at half the credit the supervisor is told."""
        self._taken += n
        if self._taken * 2 >= self._credit:
            self._soon()

    def _remember(self, seq: int) -> None:
        self._done_before[seq] = None
        if len(self._done_before) > _MAX_REMEMBERED:
            del self._done_before[next(iter(self._done_before))]

    def _soon(self, delay_s: float = 0.0) -> None:
        if self._is_flush_now or (delay_s and self._flush is not None):
            return
        if self._flush is not None:
            self._flush.cancel()
        self._is_flush_now = not delay_s
        loop = asyncio.get_running_loop()
        self._flush = (
            loop.call_later(delay_s, self._flush_now) if delay_s else loop.call_soon(self._flush_now)
        )

    def _flush_now(self) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
            self._is_flush_now = False
        if self.name is None or not self.is_open:
            return
        if self._acked and self._line.tell(Ack(subscription=self.name, seqs=self._acked)):
            self._acked = []
        while not self._acked and self._nacked and self._tell_nack(self.name, self._nacked[0]):
            self._barriers.append(self._nacked.popleft())
        if self._taken * 2 >= self._credit and self._line.tell(Credit(self.name, self._taken)):
            self._taken = 0

    def _tell_nack(self, name: str, nacked: _Nacked) -> bool:
        number = self._line.new_id()
        if not self._line.tell(Nack(subscription=name, seq=nacked.seq, delay_ms=nacked.delay_ms, id=number)):
            return False
        nacked.number = number
        self._line.await_pong(number, self)
        return True


class Replay(Subscription):
    """Events of a range of the journal, once more; iteration ends with the range. Acks change nothing.

    When it has to be opened again, it goes on behind the last event that the caller got.
    """

    _method = "events.replay"

    async def __anext__(self) -> IncomingEvent:
        """Return the next event."""
        event = await super().__anext__()
        if event.seq is not None:
            self._params["from"] = event.seq + 1
        return event

    def ack(self, event: IncomingEvent) -> None:
        """Do nothing: there is no position to move."""

    def nack(self, event: IncomingEvent, *, delay_s: float | None) -> None:
        """Do nothing: a replay delivers each event once."""
