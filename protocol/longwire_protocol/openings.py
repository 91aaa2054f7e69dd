"""The subscriptions of one client: which are open, which are being opened, and which must be opened again.

Whoever opens one may be gone before the reply comes. What that opened is left then at once, as the supervisor
would deal chats to a reader that is not there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from longwire_protocol.calls import Calls
from longwire_protocol.errors import CommandError, LongwireError, RetCode, SupervisorUnreachable
from longwire_protocol.messages import Events, Reply, Request
from longwire_protocol.replies import data_of
from longwire_protocol.subscription import Subscription

_SUBSCRIBE_S = 30.0
_UNSUBSCRIBE_S = 5.0

_REOPEN_S = 0.5
"""Between attempts to open a subscription again that failed for a reason that may pass."""

_MAY_PASS = frozenset({RetCode.DEADLINE_EXCEEDED, RetCode.JOURNAL_UNAVAILABLE, RetCode.SATURATED})


class _Attempt(msgspec.Struct, eq=False):
    """One request to open a subscription."""

    subscription: Subscription
    is_wanted: bool = True


class Openings:
    """What is open on one connection. Used on the client's loop only.

    Args:
        calls: of the client.
        tasks: own what goes on by itself; they outlive nothing of this.
        take_leave: closes a subscription of this name without waiting for the answer.
    """

    def __init__(self, calls: Calls, tasks: asyncio.TaskGroup, *, take_leave: Callable[[str], None]) -> None:
        self._calls = calls
        self._tasks = tasks
        self._take_leave = take_leave
        self._open: dict[str, Subscription] = {}
        self._attempts: dict[Subscription, _Attempt] = {}
        self._reopening: dict[Subscription, asyncio.Task[None]] = {}
        self._is_over = False

    def open(
        self, subscription: Subscription, method: str, params: dict[str, Any]
    ) -> asyncio.Future[LongwireError | None]:
        """See `subscription.Line.open_subscription`."""
        return self._tasks.create_task(self._ask(subscription, method, params), name="open a subscription")

    async def close(self, subscription: Subscription) -> None:
        """See `subscription.Line.close_subscription`.

        Raises:
            CommandError: the supervisor refused it.
        """
        if not self._forget(subscription):
            return
        params = {"subscription": subscription.name}
        request = Request(id=0, method="events.unsubscribe", params=params)
        try:
            with suppress(SupervisorUnreachable):  # then it is not open any more
                data_of(await self._calls.ask(request, deadline_s=_UNSUBSCRIBE_S))
        except CommandError as exc:
            if exc.retcode != RetCode.NOT_SUBSCRIBED:
                raise

    def deliver(self, frame: Events) -> None:
        """Hand events to the subscription they are for."""
        subscription = self._open.get(frame.subscription)
        if subscription is not None:
            subscription.deliver(frame)
            if frame.end:
                self._forget_name(subscription)

    def flush(self) -> None:
        """Have what waits sent: the supervisor reads again."""
        for subscription in self._open.values():
            subscription.flush()

    def probe(self) -> None:
        """Find out which the supervisor does not know."""
        for subscription in self._open.values():
            subscription.probe()

    def lose(self, name: str) -> None:
        """The supervisor does not know the one of this name: open it again."""
        if (subscription := self._open.get(name)) is not None:
            self._lost(subscription)

    def lose_all(self) -> None:
        """The supervisor knows none of them."""
        for subscription in self._open.values():
            self._lost(subscription)

    def end(self) -> None:
        """Say what is done, and end and leave all; for a client that is left."""
        self._stop()
        for name, subscription in self._open.items():
            subscription.end()
            self._take_leave(name)

    def fail(self, failure: LongwireError) -> None:
        """End all with an error: there is no supervisor any more."""
        self._stop()
        for subscription in self._open.values():
            subscription.lost()
            subscription.fail(failure)

    def abandon(self, failure: LongwireError) -> None:
        """End all in the child of a fork, where no loop may be touched."""
        for subscription in self._open.values():
            subscription.abandon(failure)

    def _stop(self) -> None:
        """Open nothing again."""
        self._is_over = True
        for task in self._reopening.values():
            task.cancel()

    async def _ask(
        self, subscription: Subscription, method: str, params: dict[str, Any]
    ) -> LongwireError | None:
        attempt = self._attempts[subscription] = _Attempt(subscription)
        request = Request(id=0, method=method, params=params)
        try:
            seen = partial(self._replied, attempt)
            data_of(await self._calls.ask(request, deadline_s=_SUBSCRIBE_S, seen=seen))
        except LongwireError as exc:
            return exc
        finally:
            self._give_up(attempt)
        return None

    def _give_up(self, attempt: _Attempt) -> None:
        """Want it no more; what its reply opens nevertheless is left then."""
        attempt.is_wanted = False
        if self._attempts.get(attempt.subscription) is attempt:
            del self._attempts[attempt.subscription]

    def _replied(self, attempt: _Attempt, reply: Reply) -> None:
        """Take the reply to an attempt, at once: its events may be right behind."""
        match reply:
            case Reply(status="ok", data={"subscription": str(name)}) if attempt.is_wanted:
                self._opened(attempt.subscription, name)
            case Reply(status="ok", data={"subscription": str(name)}):
                self._opened_unwanted(name)
            case _:
                pass

    def _opened(self, subscription: Subscription, name: str) -> None:
        self._forget_name(subscription)
        other = self._open.get(name)
        if other is not None:  # the supervisor knows one of a name and connection
            text = f"subscription {name!r} was opened again by the same client"
            other.fail(CommandError(RetCode.SUBSCRIPTION_CONFLICT, text))
        subscription.opened(name)
        self._open[name] = subscription

    def _opened_unwanted(self, name: str) -> None:
        """Leave it at once.

        One of that name that is open here has begun anew, with another's credit: it is opened again. One that
        is being opened may be closed by this; its next probe finds that out.
        """
        current = self._open.get(name)
        if current is None:
            self._take_leave(name)
        else:
            self._lost(current)

    def _lost(self, subscription: Subscription) -> None:
        """Open it again, unless that is under way: one request however many frames complained."""
        subscription.lost()
        if subscription not in self._reopening and not self._is_over:
            task = self._tasks.create_task(self._reopen(subscription), name=f"reopen {subscription.name}")
            self._reopening[subscription] = task

    async def _reopen(self, subscription: Subscription) -> None:
        try:
            while not await self._is_settled(subscription):  # noqa: ASYNC110  what it waits for is time
                await asyncio.sleep(_REOPEN_S)
        finally:
            self._reopening.pop(subscription, None)

    async def _is_settled(self, subscription: Subscription) -> bool:
        """Try to open it; return whether it is open, or refused for good."""
        try:
            await subscription.open()
        except SupervisorUnreachable:
            return False
        except CommandError as exc:
            if exc.retryable or exc.retcode in _MAY_PASS:
                return False
            self._forget_name(subscription)
            subscription.fail(exc)
            return True
        return subscription.is_open  # it may have been lost again in the meantime

    def _forget(self, subscription: Subscription) -> bool:
        """Have nothing more to do with it; return whether the supervisor may have it open."""
        reopening = self._reopening.pop(subscription, None)
        if reopening is not None:
            reopening.cancel()
        if (attempt := self._attempts.get(subscription)) is not None:
            self._give_up(attempt)
        return self._forget_name(subscription)

    def _forget_name(self, subscription: Subscription) -> bool:
        if subscription.name is None or self._open.get(subscription.name) is not subscription:
            return False
        del self._open[subscription.name]
        return True
