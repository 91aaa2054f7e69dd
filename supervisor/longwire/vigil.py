"""When to judge whom: deadlines of many silences, pure, with time as an argument.

All times here are *running time*: seconds during which this supervisor ran and read its sockets. A supervisor
that was stopped, starved or suspended comes back to overdue deadlines and full sockets; its clock of running
time has hardly moved, so it reads first and judges nobody for its own absence. What a silence means is judged
elsewhere (`longwire.liveness`).
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Hashable
from enum import Enum
from typing import Generic, TypeVar

import msgspec

K = TypeVar("K", bound=Hashable)


class RunningClock:
    """Counts the time during which it was looked at regularly.

    Args:
        now: the monotonic clock at the start, in seconds.
        max_step_s: the most that one look adds; a small multiple of the interval between looks.
    """

    def __init__(self, now: float, *, max_step_s: float) -> None:
        self._seen = now
        self._max_step_s = max_step_s
        self.value = 0.0

    def look(self, now: float) -> float:
        """Return the running time at `now`."""
        self.value += min(max(0.0, now - self._seen), self._max_step_s)
        self._seen = now
        return self.value


class Stage(Enum):
    """How far a silence has come; the value is its share of the limit."""

    LATE = 0.6  # unusual; shown, nothing is done
    SUSPECT = 0.8  # evidence is gathered now, so that the end of it finds everything there
    OVER = 1.0  # it is to be judged


_STAGES = (Stage.LATE, Stage.SUSPECT, Stage.OVER)


class _Pulse(msgspec.Struct, Generic[K]):
    key: K
    beat_at: float
    limit_s: float
    passed: int = 0
    """How many stages this silence has reached."""
    is_watched: bool = True

    @property
    def deadline(self) -> float:
        """When it reaches the next one."""
        return self.beat_at + self.limit_s * _STAGES[self.passed].value


class Vigil(Generic[K]):
    """Watches many silences; a beat costs O(1), because its deadline is only moved when it comes up.

    Args:
        gap_s: the least time between two stages of a silence, however late they are told.
    """

    def __init__(self, *, gap_s: float = 0.0) -> None:
        self._gap_s = gap_s
        self._pulses: dict[K, _Pulse[K]] = {}
        self._due: list[tuple[float, int, _Pulse[K]]] = []
        self._order = itertools.count()

    def begin(self, key: K, now: float, *, limit_s: float) -> None:
        """Watch `key` from now on, in place of what was watched of it before."""
        self.end(key)
        pulse = self._pulses[key] = _Pulse(key, now, limit_s)
        self._push(pulse)

    def beat(self, key: K, now: float) -> None:
        """Note a sign of life."""
        pulse = self._pulses.get(key)
        if pulse is not None:
            pulse.beat_at, pulse.passed = now, 0

    def end(self, key: K) -> None:
        """Watch `key` no longer."""
        pulse = self._pulses.pop(key, None)
        if pulse is not None:
            pulse.is_watched = False

    def due(self, now: float, *, most: int | None = None) -> list[tuple[K, Stage]]:
        """Return who has reached a stage since the last call, one each.

        However late the call is: between suspicion and its end somebody has looked at least twice. Who is
        over is watched on, in another window of the same length, until somebody ends that or begins another
        one: nobody drops out because of an error in what is done about him.

        Args:
            now: the running time.
            most: how many are returned at most, the longest overdue first; the next call returns the others,
                unless they have beaten meanwhile.
        """
        reached: list[tuple[K, Stage]] = []
        again: list[_Pulse[K]] = []
        while self._due and self._due[0][0] <= now and (most is None or len(reached) < most):
            pulse = heapq.heappop(self._due)[2]
            if not pulse.is_watched:
                continue
            if pulse.deadline > now:  # a beat has moved it
                self._push(pulse)
                continue
            reached.append((pulse.key, _STAGES[pulse.passed]))
            pulse.passed += 1
            if pulse.passed == len(_STAGES):
                pulse.beat_at, pulse.passed = now, 0
            again.append(pulse)
        for pulse in again:
            self._push(pulse, not_before=now + self._gap_s)
        return reached

    def next_due(self) -> float | None:
        """Return the running time before which `due` has nothing to say."""
        return self._due[0][0] if self._due else None

    def _push(self, pulse: _Pulse[K], *, not_before: float = 0.0) -> None:
        heapq.heappush(self._due, (max(pulse.deadline, not_before), next(self._order), pulse))
