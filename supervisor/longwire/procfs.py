"""What /proc says of a process of ours. Where there is no /proc, as on macOS, nothing is said.

All this is done on the loop, for a silent process alone: a glance takes 15 us, the signals that it handles
20, the search for its memory 30, and a whole reading 20 for each thread, so 80 us of a child with three and
0.8 ms of one with forty (medians of 200, two cores). The process's number must be its own still: it has not
been waited for.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from itertools import islice

from longwire.evidence import Reading, Thread, thread

_PROC = "/proc"

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")

_MAX_THREADS = 64
"""Looked at: a child has 3 to 40, and one that makes threads without end must not cost the loop."""

_MAX_BYTES = 8192
"""Read of a file; the longest, `status`, has 1,500."""

_MAX_DESCRIPTORS = 256
"""Looked through for the one that holds its stacks, which is among its first."""


def glance(pid: int) -> Reading | None:
    """Return what the main thread of a process is doing, and of the others nothing; `None` if unknown."""
    at = time.monotonic()
    try:
        main = _thread(f"{_PROC}/{pid}")
    except (OSError, ValueError):
        return None
    return Reading(at, main, {pid: main})


def read(pid: int) -> Reading | None:
    """Return what a process is doing; `None` if that cannot be known."""
    folder = f"{_PROC}/{pid}"
    at = time.monotonic()
    try:
        main = _thread(folder)
        threads: dict[int, Thread] = {}
        for task in islice(os.listdir(f"{folder}/task"), _MAX_THREADS):  # noqa: PTH208
            with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
                threads[int(task)] = _thread(f"{folder}/task/{task}")
    except (OSError, ValueError):
        return None
    return Reading(at, main, threads, _wchan(folder))


def catches(pid: int, signal_number: int) -> bool:
    """Return whether the process handles this signal, which would end it otherwise."""
    with suppress(OSError, ValueError):
        for line in _text(f"{_PROC}/{pid}/status").splitlines():
            name, _, mask = line.partition(":")
            if name == "SigCgt":
                return bool(int(mask, 16) >> (signal_number - 1) & 1)
    return False


def open_memory(pid: int, name: str, flags: int) -> int | None:
    """Return a descriptor of our own for the memory (`memfd_create`) that the process has by this name."""
    folder, wanted = f"{_PROC}/{pid}/fd", f"/memfd:{name} "
    with suppress(OSError):
        for entry in islice(os.listdir(folder), _MAX_DESCRIPTORS):  # noqa: PTH208
            with suppress(FileNotFoundError):  # it was closed meanwhile
                if os.readlink(f"{folder}/{entry}").startswith(wanted):  # noqa: PTH115
                    return os.open(f"{folder}/{entry}", flags | os.O_CLOEXEC)
    return None


def _thread(folder: str) -> Thread:
    stat = _text(f"{folder}/stat")
    try:
        schedstat = _text(f"{folder}/schedstat")
    except FileNotFoundError:  # a kernel that does not count
        schedstat = ""
    return thread(stat, schedstat, ticks_per_s=_TICKS_PER_S)


def _wchan(folder: str) -> str | None:
    try:
        name = _text(f"{folder}/wchan").strip()
    except OSError:  # the kernel may keep it to itself
        return None
    return name if name not in {"", "0"} else None


def _text(path: str) -> str:
    """Return a file of /proc, in a third of the time that `Path.read_text` takes."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, _MAX_BYTES).decode(errors="replace")
    finally:
        os.close(fd)
