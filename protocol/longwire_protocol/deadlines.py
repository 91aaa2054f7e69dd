"""Many deadlines on one timer of the loop.

Nearly all of them are called off: each is there for what goes wrong. A timer of its own for each costs the
loop more than most of what it guards, once to make it and once to sort it out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from contextvars import Context
from math import inf
from types import TracebackType
from typing import Generic, TypeVar
from weakref import WeakMethod

from longwire_protocol.agenda import Agenda

_Key = TypeVar("_Key", bound=Hashable)


class Deadlines(Generic[_Key]):
    """Tells of what was not called off in time. Made on the loop that runs it; may be dropped at any time.

    Args:
        late: called with each of those, by the loop itself and in a context of its own.
    """

    def __init__(self, late: Callable[[_Key], None]) -> None:
        self._late = late
        self._loop = asyncio.get_running_loop()
        self._agenda = Agenda[_Key]()
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = inf
        self._context = Context()  # not of whoever set the first one, which it would hold

    def set(self, key: _Key, delay_s: float) -> None:
        """Have it told in so many seconds, and not at any time set for it before."""
        at = self._loop.time() + delay_s
        self._agenda.set(key, at)
        if at < self._rings_at:
            self._ring(at)

    def discard(self, key: _Key) -> None:
        """Call it off, if it is there. The timer may ring for nothing, which it seldom does."""
        self._agenda.discard(key)

    def _ring(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = at
        self._timer = None
        if at < inf:
            self._timer = self._loop.call_at(at, _call, WeakMethod(self._rang), context=self._context)

    def _rang(self) -> None:
        try:
            for key in self._agenda.pop_due(self._loop.time()):
                self._late(key)
        finally:  # what one of them raises is not the others' trouble
            self._ring(self._agenda.first_at())


def _call(method: WeakMethod[Callable[[], None]]) -> None:
    """Call it if its object is still there: a timer is no reason to keep that, and all it knows of."""
    if (there := method()) is not None:
        there()


class Timeouts:
    """`asyncio.timeout` for what is done hundreds of times a second, and is seldom late."""

    def __init__(self) -> None:
        self._deadlines = Deadlines[_Timeout](_Timeout.expire)

    def within(self, delay_s: float) -> _Timeout:
        """Return a context whose body is cancelled after so many seconds; that raises TimeoutError."""
        return _Timeout(self._deadlines, delay_s)


class _Timeout:
    def __init__(self, deadlines: Deadlines[_Timeout], delay_s: float) -> None:
        self._deadlines = deadlines
        self._delay_s = delay_s
        self._is_expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # for the type checker
        self._task = task
        self._cancels_before = task.cancelling()
        self._deadlines.set(self, self._delay_s)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines.discard(self)
        if not self._is_expired:
            return
        is_ours = self._task.uncancel() <= self._cancels_before
        if is_ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error

    def expire(self) -> None:
        self._is_expired = True
        self._task.cancel()
