"""Calls that block and may hang, on a thread that nobody has to wait for.

`asyncio.to_thread` will not do: its pool is joined when the loop or the interpreter ends, so a call that
hangs holds up the stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(fn: Callable[[], T], *, name: str, timeout_s: float) -> T:
    """Return what `fn` returns on a daemon thread of its own.

    Cancellation and the timeout are prompt: the thread is left behind and what it brings later is dropped.
    `fn` must therefore end by itself some time, and must do nothing that matters once nobody waits.

    Args:
        fn: what blocks; touches nothing of the loop.
        name: the thread's name.
        timeout_s: seconds until it is given up.

    Raises:
        TimeoutError: `fn` took longer.
        Exception: whatever `fn` raised.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            settle = _returned(fn(), outcome)
        except BaseException as error:  # noqa: BLE001  the edge of a thread: the caller gets it
            settle = _raised(error, outcome)
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
            loop.call_soon_threadsafe(settle)

    threading.Thread(target=run, name=name, daemon=True).start()
    async with asyncio.timeout(timeout_s):
        return await outcome


def _returned(value: T, outcome: asyncio.Future[T]) -> Callable[[], None]:
    def settle() -> None:
        if not outcome.done():
            outcome.set_result(value)

    return settle


def _raised(error: BaseException, outcome: asyncio.Future[Any]) -> Callable[[], None]:
    # A future refuses StopIteration, and SystemExit of a thread is no reason to end the process.
    ordinary = isinstance(error, Exception) and not isinstance(error, StopIteration)
    given = error if ordinary else RuntimeError(f"the thread ended with {type(error).__name__}")

    def settle() -> None:
        if not outcome.done():
            outcome.set_exception(given)

    return settle
