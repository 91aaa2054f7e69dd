"""A subscription for plain code: an iterator that blocks, and events that are acked without `await`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from longwire_protocol.event import Event
from longwire_protocol.session import Session
from longwire_protocol.subscription import IncomingEvent, Subscription


class SyncEvent(Event, kw_only=True, omit_defaults=True, dict=True):
    """An event as a `SyncSubscription` delivers it; `ack` it when its effect is done, from any thread."""

    def ack(self) -> None:
        """See `IncomingEvent.ack`; does not wait."""
        event = self._event
        vars(self)["session"].soon(lambda: vars(event)["subscription"].ack(event))

    def nack(self, *, delay_s: float | None = None) -> None:
        """See `IncomingEvent.nack`; does not wait."""
        event = self._event
        vars(self)["session"].soon(lambda: vars(event)["subscription"].nack(event, delay_s=delay_s))

    def key(self, step: str = "") -> str:
        """See `IncomingEvent.key`."""
        return self._event.key(step)

    @classmethod
    def of(cls, event: IncomingEvent, session: Session) -> Self:
        """Return the event for plain code; for the subscription."""
        made = cls(**{name: getattr(event, name) for name in event.__struct_fields__})
        vars(made).update(event=event, session=session)
        return made

    @property
    def _event(self) -> IncomingEvent:
        event: IncomingEvent = vars(self)["event"]
        return event


class SyncSubscription(Iterator[SyncEvent]):
    """See `Subscription`. Several threads may iterate over one; order within a chat is then theirs to keep.

    As a context manager it is open inside and closed afterwards.
    """

    def __init__(self, session: Session, subscription: Subscription, *, client: object) -> None:
        self._client = client  # a client that nobody holds any more is left
        self._session = session
        self._subscription = subscription

    @property
    def name(self) -> str | None:
        """See `Subscription.name`."""
        return self._subscription.name

    @property
    def is_open(self) -> bool:
        """Whether the supervisor delivers to it now."""
        return self._subscription.is_open

    def open(self) -> None:
        """See `Subscription.open`."""
        return self._session.run(lambda _: self._subscription.open())

    def close(self) -> None:
        """End it, also for a thread that waits for an event; see `Subscription.close`."""
        return self._session.run(lambda _: self._subscription.close())

    def get(self, *, timeout_s: float | None = None) -> SyncEvent:
        """Return the next event.

        Args:
            timeout_s: how long to wait for one, in seconds; `None`: for ever.

        Raises:
            TimeoutError: none came in time.
            EOFError: the subscription is over.
        """
        event = self._session.run(lambda _: self._next(timeout_s))
        if event is None:
            raise EOFError("the subscription is over")
        return event

    def __next__(self) -> SyncEvent:
        """Return the next event; wait for ever where none comes."""
        event = self._session.run(lambda _: self._next(None))
        if event is None:
            raise StopIteration
        return event

    def __enter__(self) -> Self:
        """Open it."""
        self._session.run(lambda _: self._subscription.open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self._session.run(lambda _: self._subscription.close())

    async def _next(self, timeout_s: float | None) -> SyncEvent | None:
        async with asyncio.timeout(timeout_s):
            event = await anext(self._subscription, None)
        return None if event is None else SyncEvent.of(event, self._session)
