"""The thread and loop of an embedded core: started, asked for things from other threads, ended.

Nothing is taken from the host: the loop is made here, whatever event-loop policy is set, and off the main
thread there are no signal handlers. It is a daemon thread, so that a host that ends without a stop does end;
as its main thread ends, the children are still taken down in order.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from longwire.core import Core
from longwire.embedding.client import HERE, Block, LocalClient
from longwire.embedding.lines import Lines
from longwire.embedding.outcome import Outcome
from longwire.embedding.pipe import End, pipe
from longwire.logger import aside, get_logger, keeper
from longwire_protocol.ending import at_end
from longwire_protocol.errors import SupervisorUnreachable, WouldDeadlock
from longwire_protocol.syncclient import SyncClient

_log = get_logger("longwire.supervisor")

T = TypeVar("T")

STOP_MARGIN_S = 10.0
"""Beyond the accounts' own stop timeouts: the journal's last write and a crowded machine. Who waits so long
in vain is told so, and the kernel ends the children with the process."""

_LINES_S = 1.0
"""For the host to take the last lines of the log; what it does not take is left to `longwire logs`."""


class CoreThread:
    """Runs one core. Every method but `start` may be called from any thread but its own.

    Args:
        make_core: makes it, on this thread and its loop; may block.
    """

    def __init__(self, make_core: Callable[[], Core]) -> None:
        self._make_core = make_core
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="longwire", daemon=True)
        self._lock = threading.Lock()
        self._is_open = False
        """Whether the loop takes what other threads ask for."""
        self._is_stopped = False
        self._ends: weakref.WeakSet[End] = weakref.WeakSet()
        """Those of ours: whoever is at the other one is told of the end, whatever brought it."""
        self.ready: concurrent.futures.Future[None] = concurrent.futures.Future()
        """Settled when clients can connect, or when it could not be started."""
        self.ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        """Settled when everything is down; with the error that took it down, if one did."""

    def start(self) -> None:
        """Begin; `ready` tells the outcome. Raises RuntimeError where no thread can be started."""
        self._lines = Lines()
        _running.add(self)
        try:
            self._thread.start()
        except RuntimeError:  # there are no threads left
            self._lines.close(timeout_s=_LINES_S)
            raise

    @property
    def is_ours(self) -> bool:
        """Whether this process started it: threads do not come along into a fork."""
        return self._pid == os.getpid()

    @property
    def is_running(self) -> bool:
        """Whether it takes what it is asked for."""
        return self.is_ours and self._is_open

    def stop(self) -> None:
        """Begin to stop, also in the middle of the start; `ended` tells when everything is down."""
        self._refuse_in_fork()
        with self._lock:
            self._is_stopped = True
            if self._is_open:
                self._loop.call_soon_threadsafe(self._core.stop)

    def ask(self, work: Callable[[Core], Coroutine[Any, Any, T]]) -> Outcome[T]:
        """Have something done on the core's loop.

        Raises:
            SupervisorUnreachable: it does not run.
        """
        self._refuse_in_fork()
        with self._lock:
            self._refuse_unless_open()
            context = self._context.copy()  # not the caller's
            future = context.run(asyncio.run_coroutine_threadsafe, self._done(work), self._loop)
        return Outcome(future, thread=self)

    def client(self, block: Block | None) -> LocalClient:
        """Return a client for a loop of this process.

        Raises:
            SupervisorUnreachable: it does not run.
        """
        self._refuse_in_fork()
        with self._lock:
            self._refuse_unless_open()
        return LocalClient(self._join, block=block)

    def sync_client(self) -> SyncClient:
        """Return a client for plain code.

        Raises:
            SupervisorUnreachable: it does not run.
        """
        self._refuse_in_fork()
        with self._lock:
            self._refuse_unless_open()
        return SyncClient(HERE, connect=partial(LocalClient, self._join))

    def refuse_here(self) -> None:
        """Raise WouldDeadlock on its own thread, where e.g. a host's handler of log lines is called."""
        if threading.current_thread() is self._thread:
            raise WouldDeadlock("the supervisor's own thread cannot wait for what it has to do itself")

    async def call(self, method: str, params: dict[str, Any] | None, **options: Any) -> Any:
        """Ask as a client does, on the core's own loop."""
        return await self._client.call(method, params, **options)

    def _join(self, end: End) -> None:
        self._refuse_in_fork()
        with self._lock:
            self._refuse_unless_open()
            _, ours = pipe(end, End(self._loop, self._context))
            self._ends.add(ours)
            self._loop.call_soon_threadsafe(self._core.attach, ours, context=self._context)

    def _refuse_in_fork(self) -> None:
        """Before the lock is touched: whoever held it may not be here."""
        if not self.is_ours:
            text = (
                f"the supervisor belongs to process {self._pid}, of which this is a fork; start another here"
            )
            raise SupervisorUnreachable(text)

    def _refuse_unless_open(self) -> None:
        if not self._is_open:
            raise SupervisorUnreachable("the supervisor does not run")

    async def _done(self, work: Callable[[Core], Coroutine[Any, Any, T]]) -> T:
        try:
            return await work(self._core)
        except asyncio.CancelledError:
            if self._is_open:
                raise  # whoever asked gave it up
            raise SupervisorUnreachable("the supervisor has ended meanwhile") from None

    # On its own thread.

    def _run(self) -> None:
        aside.set(self._lines.say)
        error = self._lived()
        if error is not None and self.ready.done():
            _log.critical("supervisor_died", text=repr(error))
        self._lines.close(timeout_s=_LINES_S)
        self._settle(error)
        _running.discard(self)

    def _lived(self) -> BaseException | None:
        """Run the core; return what took it down."""
        try:
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                self._core = self._make_core()
                runner.run(self._live())
        except BaseException as error:  # noqa: BLE001  # the edge of a thread: whoever started it gets it
            return error
        return None

    def _settle(self, error: BaseException | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(error or SupervisorUnreachable("the supervisor was stopped"))
            self.ended.set_result(None)
        elif error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)

    async def _live(self) -> None:
        keeper.set(self._core.logbook.keep)
        self._loop, self._context = asyncio.get_running_loop(), copy_context()
        async with Block() as block:
            self._client = LocalClient(self._join, block=block)
            try:
                await self._core.run(ready=self._is_up)
            finally:
                with self._lock:
                    self._is_open = False
                await asyncio.sleep(0)  # what was asked for until now has begun, and is told
                for end in list(self._ends):
                    end.close()

    def _is_up(self) -> None:
        with self._lock:
            self._is_open = True
            if self._is_stopped:
                self._core.stop()
        self.ready.set_result(None)


_running: weakref.WeakSet[CoreThread] = weakref.WeakSet()


def _stop_all() -> None:
    """Take down what a host left running, as it ends; not what a fork of it inherited."""
    running = [thread for thread in list(_running) if thread.is_ours]
    for thread in running:
        thread.stop()
    concurrent.futures.wait([thread.ended for thread in running], timeout=STOP_MARGIN_S)


at_end(_stop_all)
