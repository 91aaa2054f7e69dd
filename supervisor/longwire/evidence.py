"""What the kernel knows of a silent process, and what that tells: pure.

A silence alone says little. The kernel tells a process that was stopped from one that waits for something,
one that runs in circles, and one that wants to run and is given no CPU; and only the last one is innocent.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

_NS = 1_000_000_000
_UTIME, _STIME = 11, 12
"""Places in `stat`, counted from the state on."""


class Condition(StrEnum):
    """What a silent process is doing."""

    STOPPED = "stopped"  # by a signal, or by a debugger
    BLOCKED = "blocked"  # it waits, and wants no CPU
    SPINNING = "spinning"  # it uses CPU, and its loop does not turn
    STARVED = "starved"  # it wants CPU and gets next to none: the machine is too busy


class Thread(msgspec.Struct, frozen=True):
    """What the kernel says of one thread."""

    state: str
    """The letter of proc(5): R, S, D, T, t, Z, ..."""
    cpu_s: float = 0.0
    """CPU that it has used since it began."""
    delay_s: float = 0.0
    """How long it has wanted a CPU and had none, up to when it last got one."""


class Reading(msgspec.Struct, frozen=True):
    """What the kernel said of a process at a moment."""

    at: float
    """Seconds on the monotonic clock."""
    main: Thread
    """The thread in which its loop runs."""
    threads: Mapping[int, Thread]
    """All of them, by their numbers."""
    wchan: str | None = None
    """In which function of the kernel the main one waits, where that may be known."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What /proc showed of a silent process, as an incident keeps it; seconds."""

    state: str
    """Of its main thread, the letter of proc(5)."""
    threads: int
    wchan: str | None
    cpu_s: float
    """CPU that it used in the window."""
    delay_s: float
    """How long it wanted a CPU in the window and had none: that of its threads that waited longest."""
    window_s: float
    """Between the first look at it in this silence and the last."""


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; each part only where it could be."""

    condition: Condition | None = None
    proc: Facts | None = None
    stacks: str | None = None
    """Of all its threads, the most recent call first."""


MOST_STARVED_CPU_S = 0.2
"""Who has got so much CPU is not starved any more: a healthy child needs a millisecond to beat."""

_WANTED_SHARE = 0.5
"""Of a window: who wanted the CPU for less of it was asleep for most of it."""


def thread(stat: str, schedstat: str, *, ticks_per_s: float) -> Thread:
    """Return what these texts of /proc say of a thread.

    Args:
        stat: its name in the middle may hold spaces and brackets.
        schedstat: nanoseconds of CPU, nanoseconds of waiting for one, and a number of turns; empty where the
            kernel does not count them.
        ticks_per_s: in which `stat` counts its CPU.

    Raises:
        ValueError: that is not what /proc says.
    """
    fields = stat.rpartition(")")[2].split()
    if len(fields) <= _STIME:
        raise ValueError(f"too little in {stat!r}")
    counted = schedstat.split()
    if len(counted) < 2:  # noqa: PLR2004  # neither CPU nor waiting
        return Thread(fields[0], (int(fields[_UTIME]) + int(fields[_STIME])) / ticks_per_s)
    return Thread(fields[0], int(counted[0]) / _NS, int(counted[1]) / _NS)


def facts(first: Reading, last: Reading) -> Facts:
    """Return what happened between two readings of a process; threads that began meanwhile do not count."""
    window_s = last.at - first.at
    both = [
        (first.threads[number], last.threads[number]) for number in last.threads if number in first.threads
    ]
    return Facts(
        state=last.main.state,
        threads=len(last.threads),
        wchan=last.wchan,
        cpu_s=sum(after.cpu_s - before.cpu_s for before, after in both),
        delay_s=max((_delay_s(before, after, window_s) for before, after in both), default=0.0),
        window_s=window_s,
    )


def _delay_s(before: Thread, after: Thread, window_s: float) -> float:
    """Return how long a thread waited for a CPU in a window.

    The kernel adds a wait up when it is over. One that still waits has done so for all the time that it did
    not run, as far as anybody knows.
    """
    if after.state == "R":
        return max(0.0, window_s - (after.cpu_s - before.cpu_s))
    return after.delay_s - before.delay_s


def condition(found: Facts) -> Condition:
    """Tell what a silent process is doing."""
    if found.state in {"T", "t"}:
        return Condition.STOPPED
    if found.cpu_s + found.delay_s <= _WANTED_SHARE * found.window_s:
        return Condition.BLOCKED
    if found.delay_s > _WANTED_SHARE * found.window_s and found.cpu_s < MOST_STARVED_CPU_S:
        return Condition.STARVED
    return Condition.SPINNING


def progress_s(since_start_s: float, now: Reading | None) -> float:
    """Return how long a process could have got on since its start: what it waited for a CPU does not count.

    Args:
        since_start_s: running time since its start.
        now: what the kernel says; `None` if it says nothing.
    """
    waited_s = now.main.delay_s if now is not None else 0.0
    return max(0.0, since_start_s - waited_s)
