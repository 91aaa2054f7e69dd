"""The supervisor's one look at the time: reads the children's socket, then judges who was silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from longwire.logger import get_logger
from longwire.vigil import RunningClock, Stage, Vigil

_log = get_logger("longwire.watch")

_LOOK_S = 0.2
"""The longest time between looks: running time is counted in such steps."""

_LEAST_WAIT_S = 0.05
"""The shortest time between looks: of a thousand children some deadline comes up each millisecond, mostly one
that a beat has moved. A hang is so noticed up to that much later."""

_MAX_STEP_S = 2 * _LOOK_S
"""The most running time one look may add, however late it is."""


_MOST_A_TURN = 20
"""Silences that are dealt with in one turn of the loop, each with up to a millisecond of looking at /proc.
Where hundreds fall silent together, the frames of the others are read in between."""


class Watched(Protocol):
    """Something that beats."""

    def on_silence(self, stage: Stage) -> None:
        """Hear that it has been silent for so long."""
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
        self._looked_at = self._loop.time()
        self._clock = RunningClock(self._looked_at, max_step_s=_MAX_STEP_S)
        self._vigil: Vigil[Watched] = Vigil(gap_s=_LEAST_WAIT_S)
        self._timer = self._loop.call_later(_LOOK_S, self._look)

    @property
    def running_s(self) -> float:
        """Running time in seconds."""
        return self._clock.look(self._loop.time())

    def begin(self, watched: Watched, *, limit_s: float) -> None:
        """Watch its silence from now on, which may last so many seconds of running time."""
        self._vigil.begin(watched, self.running_s, limit_s=limit_s)

    def beat(self, watched: Watched, now: float) -> None:
        """Note a sign of life at `now`, a running time."""
        self._vigil.beat(watched, now)

    def end(self, watched: Watched) -> None:
        """Watch it no longer."""
        self._vigil.end(watched)

    def catch_up(self) -> None:
        """Read what waits if the last look is long ago: whoever asks now is not told old news.

        Not to be called while a frame is being dealt with.
        """
        if self._loop.time() - self._looked_at > _MAX_STEP_S:
            self._looked_at = self._loop.time()
            self._read()

    def close(self) -> None:
        """Judge nobody any more."""
        self._timer.cancel()

    def _look(self) -> None:
        self._timer = self._loop.call_later(_LOOK_S, self._look)  # whatever becomes of this look
        now, self._looked_at = self.running_s, self._loop.time()
        due, told = self._vigil.next_due(), 0
        if due is not None and due <= now:
            self._read()
            told = self._tell(now)
            due = self._vigil.next_due()
        if due is not None and due - now < _LOOK_S:
            self._timer.cancel()
            wait_s = 0.0 if told == _MOST_A_TURN else max(_LEAST_WAIT_S, due - now)
            self._timer = self._loop.call_later(wait_s, self._look)

    def _tell(self, now: float) -> int:
        """Tell those who have reached a stage; return how many: at `_MOST_A_TURN` there may be more."""
        reached = self._vigil.due(now, most=_MOST_A_TURN)
        for watched, stage in reached:
            try:
                watched.on_silence(stage)
            except Exception:  # noqa: BLE001  # one child's trouble is its own, and it is watched on
                _log.exception("silence_not_judged", watched=str(watched), stage=stage.name.lower())
        return len(reached)
