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


def _ticks() -> float:
    """Return seconds of a clock that never steps, and goes on, as the platform's, in a suspended machine."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
