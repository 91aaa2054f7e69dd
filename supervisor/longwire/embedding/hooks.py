"""Tells the host of changes of state, on its own loop or on a thread of the hook, and waits for neither."""

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
        self._news = threading.Condition()
        self._is_called = False
        self._is_closed = False
        if loop is None:
            threading.Thread(target=self._serve, name="longwire hook", daemon=True).start()

    def tell(self, change: StateChange) -> None:
        """Have it called, soon; from the core's thread."""
        with self._news:
            self._backlog.add(change)
            self._news.notify()
            is_due = self._loop is not None and not self._is_called
            self._is_called = True
        if is_due and self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._run)
            except RuntimeError:  # the host's loop is closed: nobody is there to be told
                self.close()

    def close(self) -> None:
        """Have it called no more."""
        with self._news:
            self._is_closed = True
            self._news.notify()

    def _serve(self) -> None:
        while not self._is_closed:
            with self._news:
                self._news.wait_for(lambda: self._is_called or self._is_closed)
            self._run()

    def _run(self) -> None:
        with self._news:
            changes = self._backlog.take()
            self._is_called = False
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
