"""The end of the interpreter: what must happen before Python joins its threads and the pools of executors.

A thread that waits here for an answer has to come back first, else it is joined for ever; and what ends a
supervisor needs threads, which from Python 3.12 on cannot be started once the others are joined. Of Python's
hooks only one runs early enough: `threading._register_atexit`, which is what `concurrent.futures` uses, and
which has no public name. `atexit` runs after the joins, and so does a thread that waits for the main one: the
pools are joined while that still counts as alive. Where the hook is missing, or the main thread has ended
already, `atexit` it is: programs that leave nobody waiting end as well, and children end with their process.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401  # pyright: ignore[reportUnusedImport]  # its hook runs after ours
import threading
from collections.abc import Callable
from contextlib import suppress

_acts: list[Callable[[], None]] = []


def at_end(act: Callable[[], None]) -> None:
    """Have it called at the interpreter's end, before threads and pools are joined.

    In the order of registration: clients come first, and leave while their supervisor still listens.
    """
    _acts.append(act)


def _end() -> None:
    for act in _acts:
        with suppress(Exception):  # the next one is to have its turn, and Python goes on anyway
            act()


def _register() -> None:
    try:
        getattr(threading, "_register_atexit", atexit.register)(_end)
    except RuntimeError:  # too late for it: imported by a thread that outlives the main one
        atexit.register(_end)


_register()
