"""What processes take of the machine, and when they end."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from bench.stage import PROGRAMS
from harness.processes import Program
from harness.waiting import DEADLINE_S, until

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


class Ends:
    """Sees when processes end; to be entered while they all live, because their numbers are used again."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = tuple(pids)
        self._loop = asyncio.get_running_loop()
        self._fds: set[int] = set()
        self._all = asyncio.Event()
        self.at: list[float] = []
        """When each of them ended, on the monotonic clock, in that order."""

    def __enter__(self) -> Self:
        for pid in self._pids:
            fd = os.pidfd_open(pid)
            self._fds.add(fd)
            self._loop.add_reader(fd, partial(self._ended, fd))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for fd in tuple(self._fds):
            self._forget(fd)

    async def last(self) -> float:
        """Wait until none is left; return when the last one ended, on the monotonic clock."""
        async with asyncio.timeout(DEADLINE_S):
            await self._all.wait()
        return self.at[-1]

    def _ended(self, fd: int) -> None:
        self.at.append(time.monotonic())
        self._forget(fd)
        if not self._fds:
            self._all.set()

    def _forget(self, fd: int) -> None:
        self._fds.discard(fd)
        self._loop.remove_reader(fd)
        os.close(fd)


async def ended_by(number: int, count: int, *, folder: Path, leave_s: float = 0.0) -> float:
    """Return how many seconds so many processes that do nothing live on after a signal to each: the floor."""
    async with _forked(count, folder=folder, leave_s=leave_s) as pids:
        with Ends(pids) as ends:
            begun = time.monotonic()
            for pid in pids:
                os.kill(pid, number)
            return await ends.last() - begun


@asynccontextmanager
async def _forked(count: int, *, folder: Path, leave_s: float) -> AsyncIterator[list[int]]:
    command = [sys.executable, str(PROGRAMS / "forked.py"), str(count), str(leave_s)]
    program = await Program.start(command, output=folder / "forked.log")
    try:

        async def forked() -> list[int]:
            pids = [process.pid for process in program.descendants()]
            return pids if len(pids) == count else []

        yield await until(forked, what="they are forked")
    finally:
        for process in program.descendants():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        await program.kill()
