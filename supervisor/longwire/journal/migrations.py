"""What is in the journal's file, version by version: a step for each, applied in order, for ever.

A new file goes through all of them. So does an old one through those it lacks, in one transaction: whoever
is killed in the middle finds the old version again and starts over. To change the schema, append a step;
never edit one that was released. There is no way back: an older release refuses a newer file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from longwire.journal.checksums import seal

APPLICATION_ID = 0x4C57_4A4C
"""`PRAGMA application_id`, «LWJL»: tells a journal from another program's database."""

Step = Callable[[sqlite3.Connection], None]
"""Brings a file from one version to the next; inside a transaction, so no VACUUM and no journal mode."""


def _create(connection: sqlite3.Connection) -> None:
    """Version 1: events in rows of many, the keys of deduplication, small state."""
    _execute(
        connection,
        f"PRAGMA application_id = {APPLICATION_ID}",
        """CREATE TABLE chunks (
            first_seq INTEGER PRIMARY KEY,
            last_seq INTEGER NOT NULL,
            committed_at REAL NOT NULL,
            events BLOB NOT NULL
        )""",
        "CREATE TABLE high_water (seq INTEGER NOT NULL)",
        "INSERT INTO high_water VALUES (0)",
        "CREATE TABLE recent (key BLOB PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE TABLE seen (key BLOB PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB NOT NULL)",
    )


def _keep_for_years(connection: sqlite3.Connection) -> None:
    """Version 2: checksums, and what retention and a lost WAL leave behind.

    `removed_to`: every event up to it was removed, `removed_bytes` of them. `end_bytes`: see `chunks.py`;
    here for when no row is left. `is_whole`: see `wal.py`. `newest_seq`: the last event when the WAL was
    last folded in. Rows of version 1 keep no checksum, so that this takes no time.
    """
    _execute(
        connection,
        "ALTER TABLE chunks ADD COLUMN crc INTEGER",
        "ALTER TABLE chunks ADD COLUMN end_bytes INTEGER",
        "ALTER TABLE high_water ADD COLUMN removed_to INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE high_water ADD COLUMN removed_bytes INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE high_water ADD COLUMN end_bytes INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE high_water ADD COLUMN is_whole INTEGER NOT NULL DEFAULT 1",
        "ALTER TABLE high_water ADD COLUMN newest_seq INTEGER NOT NULL DEFAULT 0",
    )
    for key, value in connection.execute("SELECT key, value FROM state").fetchall():
        connection.execute("UPDATE state SET value = ? WHERE key = ?", (seal(key, value), key))


def _keys_in_runs(connection: sqlite3.Connection) -> None:
    """Version 3: the keys of deduplication as `dedup.py` has them; those that were there become one run."""
    _execute(
        connection,
        """CREATE TABLE key_log (
            first_seq INTEGER PRIMARY KEY,
            committed_at REAL NOT NULL,
            digests BLOB NOT NULL
        )""",
        """CREATE TABLE sealed_keys (
            run INTEGER,
            first BLOB,
            digests BLOB NOT NULL,
            PRIMARY KEY (run, first)
        ) WITHOUT ROWID""",
        "CREATE TABLE key_runs (run INTEGER PRIMARY KEY, newest_at REAL NOT NULL)",
        """CREATE TABLE key_filters (
            filter INTEGER PRIMARY KEY,
            covers_run INTEGER NOT NULL,
            bits BLOB NOT NULL
        )""",
        "INSERT INTO sealed_keys SELECT 0, key, key FROM (SELECT key FROM seen UNION SELECT key FROM recent)",
        "INSERT INTO key_runs SELECT 0, strftime('%s', 'now') WHERE EXISTS (SELECT 1 FROM sealed_keys)",
        "DROP TABLE seen",
        "DROP TABLE recent",
    )


def _forget_filters(connection: sqlite3.Connection) -> None:
    """Version 4: filters have five bits for each key, not three; they are made anew of the runs."""
    _execute(connection, "DELETE FROM key_filters")


def _keep_commands(connection: sqlite3.Connection) -> None:
    """Version 5: commands that were accepted, and what became of them (`commands.py`)."""
    _execute(
        connection,
        """CREATE TABLE commands (
            number INTEGER PRIMARY KEY,
            receipt TEXT NOT NULL UNIQUE,
            scope BLOB UNIQUE,
            ended_at REAL,
            body BLOB NOT NULL
        )""",
        "CREATE INDEX commands_ended ON commands (ended_at, number)",
    )


STEPS: tuple[Step, ...] = (_create, _keep_for_years, _keys_in_runs, _forget_filters, _keep_commands)

SCHEMA_VERSION = len(STEPS)
"""`PRAGMA user_version`; a file with a newer one was written by a newer release and is refused."""


def migrate(connection: sqlite3.Connection, *, version: int, steps: tuple[Step, ...] = STEPS) -> None:
    """Bring a file of this version (0 is empty) to the newest, wholly or not at all.

    Raises:
        sqlite3.Error: it could not be written; it is as it was.
    """
    if version >= len(steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in steps[version:]:
            step(connection)
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _execute(connection: sqlite3.Connection, *statements: str) -> None:
    for statement in statements:
        connection.execute(statement)
