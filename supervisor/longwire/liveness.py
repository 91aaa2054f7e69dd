"""Who has been silent too long: pure, with time as an argument.

All times here are *running time*: seconds during which this supervisor ran and read its sockets. A supervisor
that was stopped, starved or suspended comes back to overdue deadlines and full sockets; its clock of running
time has hardly moved, so it reads first and judges nobody for its own absence.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Hashable
from enum import Enum
from typing import Generic, TypeVar

import msgspec

from longwire_protocol.frames import Heartbeat
from longwire_protocol.link import LinkState

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


class Verdict(Enum):
    """What a silence means."""

    LATE = "late"  # unusual; shown, nothing is done
    HUNG = "hung"  # over the timeout: the process must be replaced


class _Pulse(msgspec.Struct, Generic[K]):
    key: K
    beat_at: float
    late_s: float
    timeout_s: float
    is_late: bool = False
    is_watched: bool = True


class Vigil(Generic[K]):
    """Watches many heartbeats; a beat costs O(1), because its deadline is only moved when it comes up."""

    def __init__(self) -> None:
        self._pulses: dict[K, _Pulse[K]] = {}
        self._due: list[tuple[float, int, _Pulse[K]]] = []
        self._order = itertools.count()

    def begin(self, key: K, now: float, *, late_s: float, timeout_s: float) -> None:
        """Watch `key` from now on, in place of what was watched of it before."""
        self.end(key)
        pulse = self._pulses[key] = _Pulse(key, now, late_s, timeout_s)
        self._push(pulse)

    def beat(self, key: K, now: float) -> bool:
        """Note a sign of life; return whether it had been called late."""
        pulse = self._pulses.get(key)
        if pulse is None:
            return False
        pulse.beat_at = now
        was_late, pulse.is_late = pulse.is_late, False
        return was_late

    def end(self, key: K) -> None:
        """Watch `key` no longer."""
        pulse = self._pulses.pop(key, None)
        if pulse is not None:
            pulse.is_watched = False

    def judge(self, now: float) -> list[tuple[K, Verdict]]:
        """Return who is late since now, and who is hung; the hung are watched no longer."""
        verdicts: list[tuple[K, Verdict]] = []
        while self._due and self._due[0][0] <= now:
            pulse = heapq.heappop(self._due)[2]
            if not pulse.is_watched:
                continue
            if self._deadline(pulse) <= now:
                verdicts.append((pulse.key, Verdict.HUNG if pulse.is_late else Verdict.LATE))
                if pulse.is_late:
                    self.end(pulse.key)
                    continue
                pulse.is_late = True
            self._push(pulse)
        return verdicts

    def next_due(self) -> float | None:
        """Return the running time before which `judge` has nothing to say."""
        return self._due[0][0] if self._due else None

    def _push(self, pulse: _Pulse[K]) -> None:
        heapq.heappush(self._due, (self._deadline(pulse), next(self._order), pulse))

    @staticmethod
    def _deadline(pulse: _Pulse[K]) -> float:
        return pulse.beat_at + (pulse.timeout_s if pulse.is_late else pulse.late_s)


class Remedy(Enum):
    """What to do about a link that its own child should have given up."""

    DISCONNECT = "disconnect"  # tell the child to give it up
    KILL = "kill"  # it was told and did not


_MARGIN = 1.25
_MARGIN_S = 5.0
"""The child judges its link itself, with fresher knowledge; the parent steps in only well after it."""

_PATIENCE_BEATS = 3
"""Heartbeats in a row that must say the same: the first after a child was stopped carries stale ages."""

_CONNECT_S = 30.0
"""Beyond the link timeout, for discovery (13 s) and the WebSocket's opening (10 s)."""

_OBEY_S = 10.0
"""How long a child may take to give up a link it was told to; its own bound is 3 s."""


class LinkWatch(msgspec.Struct):
    """The parent's backstop for one child's link, fed by its heartbeats."""

    link_timeout_s: float
    connecting_since: float | None = None
    stale_beats: int = 0
    told_at: float | None = None

    def judge(self, beat: Heartbeat, now: float) -> tuple[Remedy, str] | None:
        """Return what to do, with the name of the reason; `None` for a link in order."""
        reason = self._complaint(beat, now)
        if reason is None:
            self.stale_beats, self.told_at = 0, None
            return None
        self.stale_beats += 1
        if self.told_at is not None:
            return (Remedy.KILL, "link_did_not_end") if now - self.told_at > _OBEY_S else None
        if self.stale_beats < _PATIENCE_BEATS:
            return None
        self.told_at = now
        return Remedy.DISCONNECT, reason

    def _complaint(self, beat: Heartbeat, now: float) -> str | None:
        if beat.link is not LinkState.CONNECTING:
            self.connecting_since = None
        if beat.link is LinkState.UP:
            if _is_stale(beat.socket_proof_age_s, self.link_timeout_s):
                return "link_timeout"
            if _is_stale(beat.platform_proof_age_s, beat.platform_timeout_s):
                return "platform_silent"
            return None
        if beat.link is LinkState.CONNECTING:
            if self.connecting_since is None:
                self.connecting_since = now
            if now - self.connecting_since > self.link_timeout_s + _CONNECT_S:
                return "connect_timeout"
        return None


def _is_stale(age_s: float | None, limit_s: float | None) -> bool:
    return age_s is not None and limit_s is not None and age_s > limit_s * _MARGIN + _MARGIN_S
