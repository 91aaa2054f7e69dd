"""Tells the host of changes of state, on its own loop or on a thread of the hook, and waits for neither.

A thread lives as long as there is something to tell: a hook that nobody removes, of a supervisor that was
dropped long ago, is no thread that waits for ever.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable

from longwire.embedding.backlog import Backlog, StateChange
from longwire.lifecycle import State
from longwire.logger import get_logger
from longwire.status import AccountStatus

_log = get_logger("longwire.hooks")

OnState = Callable[[str, str, str, str | None], object]
"""Gets account, old state, new state and reason."""


class Hook:
    """One callback of the host.

    Args:
        callback: called with one change after the other, never twice at once.
        loop: on which; `None` for a thread of its own.

    Raises:
        TypeError: it is a coroutine function, which a call alone does not run.
    """

    def __init__(self, callback: OnState, loop: asyncio.AbstractEventLoop | None) -> None:
        if inspect.iscoroutinefunction(callback):
            raise TypeError("a plain function is needed; it may create a task")
        self._callback = callback
        self._loop = loop
        self._backlog = Backlog()
        self._lock = threading.Lock()
        self._is_under_way = False
        self._is_closed = False

    def tell(self, change: StateChange) -> None:
        """Have it called, soon; from the core's thread."""
        with self._lock:
            self._backlog.add(change)
            is_due = not (self._is_under_way or self._is_closed)
            self._is_under_way |= is_due
        if is_due:
            self._begin()

    def close(self) -> None:
        """Have it called no more."""
        self._is_closed = True

    def _begin(self) -> None:
        try:
            if self._loop is None:
                threading.Thread(target=self._serve, name="longwire hook", daemon=True).start()
            else:
                self._loop.call_soon_threadsafe(self._run)
        except RuntimeError as error:
            if self._loop is not None:  # it is closed: nobody is there to be told
                self.close()
                return
            _log.warning("state_hook_not_called", reason=str(error))  # out of threads
            self._is_under_way = False  # with the next change it is tried again, and this one is told, too

    def _serve(self) -> None:
        """Tell what there is, on a thread."""
        while changes := self._taken():
            self._tell(changes)

    def _run(self) -> None:
        """Tell what there is, and look again after the loop's other work."""
        changes = self._taken()
        if changes and self._loop is not None:
            self._loop.call_soon(self._run)
            self._tell(changes)

    def _taken(self) -> list[StateChange]:
        with self._lock:
            changes = self._backlog.take()
            self._is_under_way = bool(changes)
        return changes

    def _tell(self, changes: list[StateChange]) -> None:
        for change in changes:
            if self._is_closed:
                return
            try:
                self._callback(*change)
            except Exception:  # noqa: BLE001  # the host's code: the next change is told all the same
                _log.exception("state_hook_failed", account=change.account, state=change.new)


class Hooks:
    """All of them, and what they are to know of the past."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hooks: tuple[Hook, ...] = ()
        self._states: dict[str, str] = {}
        self._waiters: set[asyncio.Event] = set()

    def add(self, callback: OnState) -> Callable[[], None]:
        """Tell this callback from now on, on the loop that is running or on a thread; return what ends it."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        hook = Hook(callback, loop)
        with self._lock:
            self._hooks = (*self._hooks, hook)

        def remove() -> None:
            hook.close()
            with self._lock:
                self._hooks = tuple(known for known in self._hooks if known is not hook)

        return remove

    def changed(self, status: AccountStatus) -> None:
        """Tell all of them; from the core's thread."""
        new = status.state.value
        old = self._states.pop(status.account, State.STOPPED.value)
        if new != State.STOPPED.value:  # so that what is gone is forgotten
            self._states[status.account] = new
        for waiter in self._waiters:
            waiter.set()
        if new != old:
            for hook in self._hooks:
                hook.tell(StateChange(status.account, old, new, status.reason))

    async def settled(self, is_settled: Callable[[], bool]) -> None:
        """Return when this is so, looking at each change; on the core's loop."""
        changed = asyncio.Event()
        self._waiters.add(changed)
        try:
            while not is_settled():
                changed.clear()
                await changed.wait()
        finally:
            self._waiters.discard(changed)
