"""A machine that is too busy: programs that only use CPU, and processes that are given none."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from harness.processes import Program


@asynccontextmanager
async def busy_loops(count: int, folder: Path, *, cpu: int | None = None) -> AsyncIterator[None]:
    """Run so many endless loops, all on this CPU if one is given."""
    async with AsyncExitStack() as stack:
        for _ in range(count):
            command = [sys.executable, "-c", "while True: pass"]
            program = await Program.start(command, output=folder / "busy.log")
            stack.push_async_callback(program.kill)
            if cpu is not None:
                os.sched_setaffinity(program.pid, {cpu})
        yield


def confine(pid: int, cpu: int) -> None:
    """Let every thread of a process run on this CPU only."""
    for thread in _threads(pid):
        os.sched_setaffinity(thread, {cpu})


def give_way(pid: int) -> None:
    """Have a process run only where nobody else wants to."""
    for thread in _threads(pid):
        os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
    with suppress(OSError):  # where sessions share the CPU, its session is to give way, too
        Path(f"/proc/{pid}/autogroup").write_text("19")


def let_run(pid: int, cpus: set[int]) -> None:
    """Let it run again like anyone, as far as that is permitted."""
    for thread in _threads(pid):
        os.sched_setaffinity(thread, cpus)
        with suppress(PermissionError):
            os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text("0")


def _threads(pid: int) -> list[int]:
    return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
