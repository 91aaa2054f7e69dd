"""The supervisor's one look at the time: reads the children's socket, then judges who was silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from longwire.liveness import RunningClock, Verdict, Vigil

_LOOK_S = 0.2
"""The longest time between looks: running time is counted in such steps."""

_LEAST_WAIT_S = 0.05
"""The shortest time between looks: of a thousand children some deadline comes up each millisecond, mostly one
that a beat has moved. A hang is so noticed up to that much later."""

_MAX_STEP_S = 2 * _LOOK_S
"""The most running time one look may add, however late it is."""


class Watched(Protocol):
    """Something that beats."""

    def on_verdict(self, verdict: Verdict) -> None:
        """Hear that it has been silent for too long."""
        ...

    def __hash__(self) -> int: ...


class Watch:
    """Watches heartbeats on running time.

    Args:
        read: reads everything that waits in the sockets, called before any judgement.
    """

    def __init__(self, read: Callable[[], None]) -> None:
        self._read = read
        self._loop = asyncio.get_running_loop()
        self._clock = RunningClock(self._loop.time(), max_step_s=_MAX_STEP_S)
        self._vigil: Vigil[Watched] = Vigil()
        self._timer = self._loop.call_later(_LOOK_S, self._look)

    @property
    def running_s(self) -> float:
        """Running time in seconds."""
        return self._clock.look(self._loop.time())

    def begin(self, watched: Watched, *, late_s: float, timeout_s: float) -> None:
        """Watch it from now on, with these limits in seconds of running time."""
        self._vigil.begin(watched, self.running_s, late_s=late_s, timeout_s=timeout_s)

    def beat(self, watched: Watched) -> bool:
        """Note a sign of life; return whether it had been late."""
        return self._vigil.beat(watched, self.running_s)

    def end(self, watched: Watched) -> None:
        """Watch it no longer."""
        self._vigil.end(watched)

    def close(self) -> None:
        """Judge nobody any more."""
        self._timer.cancel()

    def _look(self) -> None:
        now = self.running_s
        due = self._vigil.next_due()
        if due is not None and due <= now:
            self._read()
            for watched, verdict in self._vigil.judge(now):
                watched.on_verdict(verdict)
            due = self._vigil.next_due()
        wait_s = _LOOK_S if due is None else min(_LOOK_S, max(_LEAST_WAIT_S, due - now))
        self._timer = self._loop.call_later(wait_s, self._look)
