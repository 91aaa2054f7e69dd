"""The loop on which all blocking clients of a process work: one, on a thread of its own, from the first use.

A loop for each call, or the caller's own, is what other libraries try: the first loses the connection between
two calls, the second cannot be waited for by the thread that runs it. This one is nobody else's, so any other
thread may wait for it, also one that runs a loop itself.

Two ends need care:

* The interpreter's. Threads that wait here must come back before Python joins them; see `ending`.
* A fork's. The child has no such thread. It starts its own, and keeps what it got, so that nothing of it is
  finalised there: the parent's descriptors are behind it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from longwire_protocol.ending import at_end
from longwire_protocol.errors import ClientClosed, LongwireError, WouldDeadlock

T = TypeVar("T")

_START_S = 30.0
"""For a thread to start on a machine that is busy; it takes a millisecond."""

_END_S = 3.0
"""At the interpreter's end, for the last acks and good-byes; what is left of 5 s is for Python itself."""


class Tenant(Protocol):
    """Who has a connection on the loop."""

    async def leave(self) -> None:
        """Close it."""
        ...


class Background:
    """The loop and its thread."""

    def __init__(self) -> None:
        self._is_up = threading.Event()
        self._is_ending = False
        self._pending: dict[Future[Any], object] = {}
        self.tenants: set[Tenant] = set()
        """To be closed at the interpreter's end; touched on the loop only."""
        self._thread = threading.Thread(target=self._run, name="longwire clients", daemon=True)
        self._thread.start()
        if not self._is_up.wait(_START_S):
            raise LongwireError(f"the thread of the blocking clients did not start in {_START_S:g} s")

    def wait(self, work: Coroutine[Any, Any, T], *, owner: object) -> T:
        """Return what the work returns on the loop; block until then.

        Args:
            work: has deadlines of its own.
            owner: by whom it can be cancelled.

        Raises:
            asyncio.CancelledError: it was cancelled. Not the one of `concurrent.futures`, which is an
                `Exception`, so that the caller's handlers of errors would swallow it.
            WouldDeadlock: this is the loop's own thread.
            SystemExit: the interpreter ends; this thread does, silently.
            Exception: whatever the work raised.
        """
        if self.is_own_thread():
            work.close()
            raise WouldDeadlock("a blocking call on the thread that has to answer it; make it on another one")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._pending[future] = owner
        if self._is_ending:  # after it is in the list: one of the two sees the other
            future.cancel()
        try:
            return future.result()
        except (CancelledError, ClientClosed) as exc:
            if self._is_ending:
                raise _end_of_thread() from None
            if isinstance(exc, ClientClosed):
                raise
            raise asyncio.CancelledError from None
        finally:
            future.cancel()  # of a caller that was interrupted
            del self._pending[future]

    def is_own_thread(self) -> bool:
        """Whether the caller is on the loop's thread, which cannot wait for itself."""
        return threading.get_ident() == self._thread.ident

    def soon(self, act: Callable[[], None]) -> None:
        """Have it called on the loop; from any thread, without waiting."""
        self._loop.call_soon_threadsafe(act)

    def own(self, life: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Start a task that lives as long as it wants to and lets no error out. On the loop only."""
        return self._lives.create_task(life, name=name)

    def cancel(self, owner: object) -> None:
        """Cancel all that waits for this owner."""
        for future, whose in tuple(self._pending.items()):
            if whose is owner:
                future.cancel()

    def end(self) -> None:
        """Let every caller go, and close what is open; at the interpreter's end."""
        self._is_ending = True
        for future in tuple(self._pending):
            future.cancel()
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._leave(), self._loop).result(_END_S)

    async def _leave(self) -> None:
        await asyncio.gather(*(tenant.leave() for tenant in tuple(self.tenants)))

    def _run(self) -> None:
        # A selector loop whatever the host's policy says: ZeroMQ's descriptors are watched on it.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as self._lives:
            self._is_up.set()
            await self._loop.create_future()  # for ever: a daemon thread ends with its process


_lock = threading.Lock()
_current: Background | None = None
_inherited: list[Background] = []


def background() -> Background:
    """Return this process's; start it if need be."""
    global _current  # noqa: PLW0603  one a process is the point
    with _lock:
        if _current is None:
            _current = Background()
        return _current


def _end() -> None:
    if _current is not None:
        _current.end()


def _begin_in_fork() -> None:
    global _current, _lock  # noqa: PLW0603
    _lock = threading.Lock()  # a thread that is not here may hold the other
    if _current is not None:
        _inherited.append(_current)
        _current = None


def _end_of_thread() -> BaseException:
    """Return what ends a thread without a traceback, and refuses the main one, which is ending already."""
    if threading.current_thread() is threading.main_thread():
        return ClientClosed("the interpreter ends")
    return SystemExit()


os.register_at_fork(after_in_child=_begin_in_fork)
at_end(_end)
