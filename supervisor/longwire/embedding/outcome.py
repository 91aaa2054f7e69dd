"""What was asked of a supervisor on another thread, for whoever asked: awaited on a loop, or waited for."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Generator
from typing import Any, Generic, Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)


class Elsewhere(Protocol):
    """The thread on which it is done."""

    def refuse_here(self) -> None:
        """Raise WouldDeadlock if the caller is on it."""
        ...


class Outcome(Generic[T_co]):
    """What becomes of something that is under way already: `await` it, or ask for its `result`.

    Args:
        future: settled on the supervisor's thread.
        thread: that one.
    """

    def __init__(self, future: concurrent.futures.Future[T_co], *, thread: Elsewhere) -> None:
        self._future = future
        self._thread = thread

    def __await__(self) -> Generator[Any, None, T_co]:
        """Wait for it on the running loop; a caller that is cancelled gives it up."""
        return asyncio.wrap_future(self._future).__await__()

    def result(self, timeout_s: float | None = None) -> T_co:
        """Return it, blocking the calling thread; from plain code, any thread.

        Args:
            timeout_s: how long to wait; `None` for as long as it takes, which has a deadline of its own.

        Raises:
            TimeoutError: it was not there in time; it is still under way.
            WouldDeadlock: on the supervisor's own thread, e.g. in a handler of log lines.
        """
        self._thread.refuse_here()
        return self._future.result(timeout_s)
