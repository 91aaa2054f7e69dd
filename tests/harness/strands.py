"""Threads that run in turns, and an event loop whose clock is the test's own: nothing depends on the machine.

The code under test keeps its threads, conditions, queues and timers; a test puts `Strands` where its module
had `threading` and `queue`, and then says who runs next. So what happens is a function of the test's choices.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from math import inf
from types import TracebackType
from typing import Any, Generic, TypeVar

from greenlet import getcurrent, greenlet

T = TypeVar("T")

_MAX_TURNS = 50_000  # more without the clock moving, and something runs in circles


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_700_000_000.0 + self.now


class Strand:
    """One thread of the code under test; it runs until it waits for something."""

    def __init__(self, strands: Strands, target: Callable[[], None]) -> None:
        self._strands = strands
        self._greenlet = greenlet(target)
        self.may_go: Callable[[], bool] = lambda: True
        self.due_at = inf
        """When waiting ends even if nothing happens."""

    def start(self) -> None:
        self._strands.all.append(self)

    def is_alive(self) -> bool:
        return not self._greenlet.dead

    def join(self) -> None:
        self._strands.wait(lambda: self._greenlet.dead)

    def run(self) -> None:
        self.due_at = inf
        self._greenlet.switch()

    def kill(self) -> None:
        self._greenlet.throw()

    @property
    def is_ready(self) -> bool:
        return not self._greenlet.dead and self.may_go()

    @property
    def is_current(self) -> bool:
        return self._greenlet is getcurrent()


class Strands:
    """In place of the modules `threading` and `queue`."""

    Full, Empty = queue.Full, queue.Empty

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.all: list[Strand] = []
        self.is_frozen = False
        """Whether none may run any more: the machine stops at this moment."""
        self.Condition = partial(Condition, self)
        self.Queue = partial(Queue[Any], self)
        self.Thread = self._thread

    def _thread(self, *, target: Callable[[], None], name: str, daemon: bool) -> Strand:
        assert name
        assert daemon
        return Strand(self, target)

    def wait(self, may_go: Callable[[], bool], *, due_at: float = inf) -> None:
        """Let others run until `may_go`; the test itself never waits."""
        current = next((strand for strand in self.all if strand.is_current), None)
        if current is not None:
            current.may_go, current.due_at = may_go, due_at
            getcurrent().parent.switch()

    @property
    def ready(self) -> list[Strand]:
        return [] if self.is_frozen else [strand for strand in self.all if strand.is_ready]

    @property
    def due_at(self) -> float:
        return inf if self.is_frozen else min((strand.due_at for strand in self.all), default=inf)

    def kill(self) -> None:
        """End all of them where they are, as a crash does."""
        for strand in self.all:
            strand.kill()
        self.all, self.is_frozen = [], False


class Condition:
    """What the writer's thread waits with; it has one waiter."""

    def __init__(self, strands: Strands) -> None:
        self._strands = strands
        self._is_notified = False

    def __enter__(self) -> None:
        """There is nothing to lock: only one strand runs."""

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, where: TracebackType | None
    ) -> None:
        pass

    def notify(self) -> None:
        self._is_notified = True

    def wait(self, timeout: float | None = None) -> None:
        self._is_notified = False
        due_at = inf if timeout is None else self._strands.clock.now + timeout
        self._strands.wait(lambda: self._is_notified or self._strands.clock.now >= due_at, due_at=due_at)


class Queue(queue.Queue[T], Generic[T]):
    def __init__(self, strands: Strands, maxsize: int = 0) -> None:
        super().__init__(maxsize)
        self._strands = strands

    def get(self, block: bool = True, timeout: float | None = None) -> T:  # noqa: FBT001, FBT002  # as queue's
        assert block
        assert timeout is None
        self._strands.wait(lambda: not self.empty())
        return self.get_nowait()

    def get_nowait(self) -> T:
        return super().get(block=False)


class InlineExecutor(ThreadPoolExecutor):
    """Does at once what `asyncio.to_thread` is asked for."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as exc:  # noqa: BLE001  # the asker gets it
            done.set_exception(exc)
        return done


class Loop(asyncio.SelectorEventLoop):
    """An event loop that runs when told to, on the test's clock."""

    def __init__(self, strands: Strands) -> None:
        super().__init__()
        self._strands = strands
        self._ours = strands.clock
        self.failures: list[dict[str, Any]] = []
        self.set_default_executor(InlineExecutor())
        self.set_exception_handler(lambda _, context: self.failures.append(context))

    def time(self) -> float:
        return self._ours.now

    def settle(self) -> None:
        """Run the loop and the strands, at this moment, until none has anything left to do."""
        for _ in range(_MAX_TURNS):
            self.run_ready()
            ready = self._strands.ready
            if not ready:
                return
            for strand in ready:
                if not self._strands.is_frozen:
                    strand.run()
        raise AssertionError("it runs in circles")

    def run_ready(self) -> None:
        """Run the loop alone until it is idle."""
        for _ in range(_MAX_TURNS):
            self.call_soon(self.stop)
            self.run_forever()
            if not self._ready and self._timer_at() > self._ours.now:  # type: ignore[attr-defined]
                return
        raise AssertionError("the loop runs in circles")

    def advance(self, seconds: float) -> None:
        """Let time pass, stopping at each moment at which something is due."""
        until = self._ours.now + seconds
        self.settle()
        while (due_at := min(self._timer_at(), self._strands.due_at)) <= until:
            self._ours.now = max(self._ours.now, due_at)
            self.settle()
        self._ours.now = until

    def _timer_at(self) -> float:
        scheduled = self._scheduled  # type: ignore[attr-defined]  # asyncio has no public name for it
        return min((handle.when() for handle in scheduled if not handle.cancelled()), default=inf)
