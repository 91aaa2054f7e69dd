"""The outbox's clock: deadlines are the platform's time, and nobody sets that."""

from __future__ import annotations

import time


class Clock:
    """Unix seconds that do not step, and count the time that the machine sleeps.

    Args:
        wall: Unix seconds when it is made.
    """

    def __init__(self, wall: float) -> None:
        self._epoch = wall - _ticks()

    def now(self) -> float:
        """Return the time."""
        return _ticks() + self._epoch


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Where the system has it, one that goes on, as the platform's, in a suspended machine; it never steps."""


def _ticks() -> float:
    return time.clock_gettime(_CLOCK)
