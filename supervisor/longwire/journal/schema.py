"""The journal's file: how it is made and opened.

Events lie in *chunks*, one row for up to some hundred consecutive ones, because a row each cost three
times the CPU, and because sqlite3 gives up and regains the GIL at each row: beside a busy event loop one
`executemany` of 1,000 rows took seconds (170 rows/s, measured), one row a few milliseconds.
What is in the file is in `migrations.py`, what is refused in `integrity.py`.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from longwire.journal.integrity import examine, refusal, refuse_damaged_wal, refuse_half_recovered
from longwire.journal.migrations import SCHEMA_VERSION, migrate
from longwire.journal.wal import cut_torn_tail, has_wal, unread_frames, wal_path
from longwire_protocol.errors import ConfigError, Problem

__all__ = [
    "PAGE_BYTES",
    "SCHEMA_VERSION",
    "connect",
    "create",
    "draft_of",
    "install",
    "open_for_reading",
    "open_for_writing",
]

BUSY_TIMEOUT_S = 0.1
"""How long SQLite itself waits for another process's lock. Short: our own retry can be interrupted."""

PAGE_BYTES = 8192
"""Of a new file. With 4096 each chunk takes twice the writes; larger ones gain little (measured)."""

_WRITER_CACHE_KIB = 32 * 1024
_READER_CACHE_KIB = 4 * 1024
_WAL_LIMIT_BYTES = 64 * 1024 * 1024


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Return a connection to the journal at `path`, made if it is not there; usable from any one thread.

    Raises:
        ConfigError: the file is damaged, foreign, locked, unreachable, or written by a newer release.
            It is left as it is.
    """
    try:
        if not path.exists() and not wal_path(path).exists():
            create(path)
        if not path.exists():
            raise refusal(path, "is missing, though its -wal is there; put both back, or a backup")
        path.chmod(0o600)  # SQLite gives -wal and -shm the same mode
        version = _examined(path)
        connection = connect(path, mode="rw")
        try:
            _set_up(connection)
            migrate(connection, version=version)
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, OSError) as exc:
        text = f"{path} cannot be opened as the journal: {exc}; the file was left as it is"
        raise ConfigError([Problem("supervisor.data_dir", text)]) from exc
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Return a read-only connection to a journal that is open for writing, here or in another process."""
    connection = connect(path, mode="ro")
    connection.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB}")
    return connection


def create(path: Path) -> None:
    """Make an empty journal, whole or not at all: so an empty file at `path` is never one of ours.

    Raises:
        sqlite3.Error, OSError: it cannot be made.
    """
    install(draft_of(path), path)


def draft_of(path: Path) -> Path:
    """Make an empty journal beside `path`, private and of the newest version, and return where.

    Raises:
        sqlite3.Error, OSError: it cannot be made.
    """
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(connect(draft, mode="rw")) as connection:
        # Both can be chosen for an empty file only; with the second, freed pages can be given back.
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        migrate(connection, version=0)
    return draft


def install(draft: Path, path: Path) -> None:
    """Put a finished file in its place so that it survives a power cut; it replaces what is there."""
    fd = os.open(draft, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def connect(path: Path, *, mode: str) -> sqlite3.Connection:
    """Return a connection with `mode` «ro» or «rw» to a database that exists."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,  # transactions are begun and ended by hand
        check_same_thread=False,  # opened on one thread, then used by exactly one other
    )


def _examined(path: Path) -> int:
    """Look the file over on a connection that cannot change it, and return its version.

    Of the log, only what a crash tore is removed: it is no part of the journal.
    """
    refuse_half_recovered(path)
    had_wal = has_wal(path)
    with closing(connect(path, mode="ro")) as connection:
        version = examine(connection, path, had_wal=had_wal)
    unread = unread_frames(path)
    refuse_damaged_wal(path, unread)
    cut_torn_tail(path, unread)
    return version


def _set_up(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KIB}")
    # `Store.checkpoint` does it, between commits: see `wal.py`.
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
    # Debian's SQLite overwrites what is deleted with zeros, through the WAL: 5 times the time (measured).
    connection.execute("PRAGMA secure_delete = OFF")
