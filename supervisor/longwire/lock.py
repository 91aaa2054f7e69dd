"""The data directory belongs to one process at a time, and so does each account."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
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


def lock_account(folder: Path, account: str) -> int:
    """Return a descriptor that an account's process holds as long as it lives.

    It is given to the process and closed here: then no second process of the account can be started while
    any trace of the first is left, whoever crashed and whatever was killed.

    Raises:
        BlockingIOError: such a process is still there.
        OSError: the folder cannot be used.
    """
    place, other = _places(folder, account)
    fd = _lock(place, account)
    try:
        _refuse_if_taken(other, account)
    except OSError:
        os.close(fd)
        raise
    return fd


def lock_successor(folder: Path, account: str) -> int:
    """Return a descriptor for a process beside the account's present one; a third one cannot be.

    There are two places, and whoever comes second takes the one that is free.

    Raises:
        BlockingIOError: there are two already.
        OSError: the folder cannot be used.
    """
    place, other = _places(folder, account)
    try:
        return _lock(place, account)
    except BlockingIOError:
        return _lock(other, account)


def _refuse_if_taken(path: Path, account: str) -> None:
    with suppress(FileNotFoundError):  # there never was a successor
        fd = _lock(path, account, flags=0)
        fcntl.flock(fd, fcntl.LOCK_UN)  # also for a fork of the host that came in this moment and has it, too
        os.close(fd)


def _places(folder: Path, account: str) -> tuple[Path, Path]:
    """Return the two files; no name of an account has a `+`."""
    return folder / f"{account}.lock", folder / f"{account}+.lock"


def _lock(path: Path, account: str, *, flags: int = os.O_CREAT) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(fd)
        if isinstance(exc, BlockingIOError):
            raise BlockingIOError(exc.errno, f"an earlier process of {account} is not gone yet") from exc
        raise
    return fd
