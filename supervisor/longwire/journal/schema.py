"""The journal's file: how it is opened, what is in it, and which files are refused.

Events lie in *chunks*, one row for up to some hundred consecutive ones, because a row each cost three
times the CPU, and because sqlite3 gives up and regains the GIL at each row: beside a busy event loop one
`executemany` of 1,000 rows took seconds (170 rows/s, measured), one row a few milliseconds.
The tables of deduplication are explained in `dedup.py`.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from longwire_protocol.errors import ConfigError, Problem

SCHEMA_VERSION = 1
"""`PRAGMA user_version`; a file with a newer one was written by a newer release and is refused."""

APPLICATION_ID = 0x4C57_4A4C
"""`PRAGMA application_id`, «LWJL»: tells a journal from another program's database."""

BUSY_TIMEOUT_S = 0.1
"""How long SQLite itself waits for another process's lock. Short: our own retry can be interrupted."""

_WRITER_CACHE_KIB = 32 * 1024
_READER_CACHE_KIB = 4 * 1024
_PAGE_BYTES = 8192  # of 4096, each chunk takes twice the writes; larger ones gain little (measured)
_CHECKPOINT_PAGES = 4096  # 32 MiB of WAL: a checkpoint stalls commits, so few of them, but each bounded
_WAL_LIMIT_BYTES = 64 * 1024 * 1024

_SCHEMA = """
CREATE TABLE chunks (
    first_seq INTEGER PRIMARY KEY,
    last_seq INTEGER NOT NULL,
    committed_at REAL NOT NULL,
    events BLOB NOT NULL
);
CREATE TABLE high_water (seq INTEGER NOT NULL);
INSERT INTO high_water VALUES (0);
CREATE TABLE key_log (first_seq INTEGER PRIMARY KEY, committed_at REAL NOT NULL, digests BLOB NOT NULL);
CREATE TABLE sealed_keys (run INTEGER, digest BLOB, PRIMARY KEY (run, digest)) WITHOUT ROWID;
CREATE TABLE key_runs (run INTEGER PRIMARY KEY, newest_at REAL NOT NULL);
CREATE TABLE key_filters (filter INTEGER PRIMARY KEY, covers_run INTEGER NOT NULL, bits BLOB NOT NULL);
CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB NOT NULL);
"""


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Return a connection to the journal at `path`, made if it is not there; usable from any one thread.

    Raises:
        ConfigError: the file is damaged, foreign, locked, unreachable, or written by a newer release.
            It is left as it is.
    """
    try:
        _make_private(path)
        connection = _connect(path, mode="rw")
        _prepare(connection, path)
    except (sqlite3.Error, OSError) as exc:
        raise _refusal(path, f"cannot be opened as the journal: {exc}; the file was left as it is") from exc
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Return a read-only connection to a journal that is open for writing in this process."""
    connection = _connect(path, mode="ro")
    connection.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB}")
    return connection


def _make_private(path: Path) -> None:
    """Make the file if need be, readable by its owner alone; SQLite gives -wal and -shm the same mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)


def _connect(path: Path, *, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,  # transactions are begun and ended by hand
        check_same_thread=False,  # opened on one thread, then used by exactly one other
    )


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the file to the present schema, or raise `ConfigError` and close the connection."""
    try:
        version = _refuse_foreign(connection, path)
        # Not in a transaction: SQLite changes none of these inside one. The first is for a new file only.
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
        if version == 0:
            _create(connection)
        connection.execute("SELECT seq FROM high_water").fetchone()
    except BaseException:
        connection.close()
        raise


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> int:
    """Return the file's schema version, 0 for an empty file."""
    version = _pragma(connection, "user_version")
    if _pragma(connection, "application_id") == APPLICATION_ID:
        if version > SCHEMA_VERSION:
            text = (
                f"was written by a newer Longwire (schema {version}, this one knows {SCHEMA_VERSION}); "
                "install that version again, or use another data_dir"
            )
            raise _refusal(path, text)
        return version
    if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        raise _refusal(path, "is a database of another program; use another data_dir")
    return 0


def _create(connection: sqlite3.Connection) -> None:
    """Make the tables in one transaction, so that a crash leaves an empty file or a whole schema."""
    pragmas = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
    connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} {pragmas} COMMIT;")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _refusal(path: Path, text: str) -> ConfigError:
    return ConfigError([Problem("supervisor.data_dir", f"{path} {text}")])
