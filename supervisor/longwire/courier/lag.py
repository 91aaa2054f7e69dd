"""How late the loop's turns are: what everything on it waits for, whatever else is measured."""

from __future__ import annotations

import asyncio
from collections import deque

EVERY_S = 0.02
_KEPT = 1_500
"""Half a minute's: enough that the worst of a hundred means something, and a bad minute is over soon."""
_SHARE = 0.99


class Lag:
    """The lateness of the last half minute's turns, in seconds."""

    def __init__(self) -> None:
        self._late_s: deque[float] = deque(maxlen=_KEPT)

    def note(self, late_s: float) -> None:
        """Take one in."""
        self._late_s.append(max(0.0, late_s))

    @property
    def p99_s(self) -> float:
        """What 99 of a hundred stay under; 0 if none is known."""
        if not self._late_s:
            return 0.0
        ordered = sorted(self._late_s)
        return ordered[min(len(ordered) - 1, int(len(ordered) * _SHARE))]


async def watch(lag: Lag) -> None:
    """Measure for ever."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + EVERY_S
        await asyncio.sleep(EVERY_S)
        lag.note(loop.time() - due)
