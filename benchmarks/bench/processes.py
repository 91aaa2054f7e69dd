"""What processes take of the machine."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress

import psutil

MB = 1_000_000
"""Bytes: a megabyte is a million of them in every row."""

_CPUCLOCK_SCHED = 2
"""Which clock of a process: what `clock_getcpuclockid(3)` makes of its number (linux/posix-timers.h)."""


def pss_bytes(processes: Iterable[psutil.Process]) -> int:
    """Return their share of the memory, shared pages counted once; those that are gone have none."""
    total = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total


def rss_bytes(pid: int) -> int:
    """Return all of a process's memory, what it shares too."""
    rss: int = psutil.Process(pid).memory_info().rss
    return rss


def cpu_s(processes: Iterable[psutil.Process]) -> float:
    """Return what CPU they have used in their lives, all their threads together; none if they are gone.

    By their CPU clocks, to the nanosecond: what /proc tells is counted in hundredths of a second, of which an
    idle process uses a few in the time that it is watched.
    """
    total = 0.0
    for process in processes:
        with suppress(OSError):
            total += time.clock_gettime((~process.pid << 3) | _CPUCLOCK_SCHED)
    return total
