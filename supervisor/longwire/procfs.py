"""What /proc says of a process of ours. Where there is no /proc, as on macOS, nothing is said.

Everything here is a handful of reads of 10 us each on the loop, done for a silent process alone. Its number
must be its own still: it has not been waited for.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from itertools import islice
from pathlib import Path

from longwire.evidence import Reading, Thread, thread

_PROC = Path("/proc")

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")

_MAX_THREADS = 64
"""Looked at: a child has 3 to 40, and one that makes threads without end must not cost the loop."""

_MAX_DESCRIPTORS = 256
"""Looked through for the one that holds its stacks, which is among its first."""


def read(pid: int) -> Reading | None:
    """Return what a process is doing; `None` if that cannot be known."""
    folder = _PROC / str(pid)
    at = time.monotonic()
    try:
        main = _thread(folder)
        threads: dict[int, Thread] = {}
        for task in islice((folder / "task").iterdir(), _MAX_THREADS):
            with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
                threads[int(task.name)] = _thread(task)
    except (OSError, ValueError):
        return None
    return Reading(at, main, threads, _wchan(folder))


def catches(pid: int, signal_number: int) -> bool:
    """Return whether the process handles this signal, which would end it otherwise."""
    with suppress(OSError, ValueError):
        for line in (_PROC / str(pid) / "status").read_text(encoding="ascii", errors="replace").splitlines():
            name, _, mask = line.partition(":")
            if name == "SigCgt":
                return bool(int(mask, 16) >> (signal_number - 1) & 1)
    return False


def open_memory(pid: int, name: str, flags: int) -> int | None:
    """Return a descriptor of our own for the memory (`memfd_create`) that the process has by this name."""
    folder, wanted = _PROC / str(pid) / "fd", f"/memfd:{name} "
    with suppress(OSError):
        for entry in islice(folder.iterdir(), _MAX_DESCRIPTORS):
            with suppress(FileNotFoundError):  # it was closed meanwhile
                if str(entry.readlink()).startswith(wanted):
                    return os.open(entry, flags | os.O_CLOEXEC)
    return None


def _thread(folder: Path) -> Thread:
    stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
    try:
        schedstat = (folder / "schedstat").read_text(encoding="ascii")
    except FileNotFoundError:  # a kernel that does not count
        schedstat = ""
    return thread(stat, schedstat, ticks_per_s=_TICKS_PER_S)


def _wchan(folder: Path) -> str | None:
    try:
        name = (folder / "wchan").read_text(encoding="ascii", errors="replace").strip()
    except OSError:  # the kernel may keep it to itself
        return None
    return name if name not in {"", "0"} else None
