"""The data directory belongs to one process at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from longwire_protocol.errors import AlreadyRunning

JOURNAL: Final = "journal.sqlite3"
"""The journal's file in the data directory."""


def lock(data_dir: Path) -> int:
    """Return a descriptor that keeps other supervisors out until it is closed.

    Raises:
        AlreadyRunning: a supervisor, or a verb that needs the directory to itself, is at work there.
        OSError: it cannot be written.
    """
    fd = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        holder = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(fd)
        raise AlreadyRunning(f"a supervisor (pid {holder}) already uses {data_dir}") from exc
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd
