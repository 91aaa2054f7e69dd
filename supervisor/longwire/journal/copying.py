"""A copy of a journal, row by row: of one in use, or of what can still be read of a damaged one.

SQLite's own ways do not fit: `VACUUM INTO` reads in one transaction, for whose length the write-ahead log of
a supervisor at work cannot begin anew; the backup API begins again at each commit of another process. But
rows of events never change. So they are read a few MiB at a time, each time in a transaction of its own,
and only what came since and the other tables together at the end. Every checksum is looked at on the way.

A copy is a journal of its own that nobody has open, in a single file, and takes no free pages along.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec

from longwire.journal import chunks
from longwire.journal.carving import carve
from longwire.journal.checksums import Damaged, unseal
from longwire.journal.chunks import Chunk
from longwire.journal.integrity import refuse_empty, refuse_foreign
from longwire.journal.migrations import SCHEMA_VERSION
from longwire.journal.schema import connect, draft_of, install
from longwire.journal.wal import has_wal
from longwire_protocol.errors import ConfigError, Problem

_BATCH_BYTES = 4 * 1024 * 1024
_BATCH_ROWS = 1000
_BUSY_S = 5.0
_NUMBERS_LEFT_OUT = 1_000_000
"""Numbers a recovered journal skips: more than events fit into a write-ahead log that was lost."""


_SEALED = {"state": (0, ""), "commands": (1, "command/")}
"""Tables whose last column has a checksum: where its key is, and what says in a report whose key it is."""


class Copy(msgspec.Struct, kw_only=True):
    """What was copied, and what was not."""

    rows: int = 0
    first_seq: int | None = None
    """`None` if there is no event."""
    last_seq: int = 0
    """Of the last event that was copied."""
    size_bytes: int = 0
    """Of the events."""
    gaps: list[tuple[int, int]] = []
    """Numbers, ends included, between which events are gone."""
    lost_states: list[str] = []
    """Keys of small state that is gone: `subscription/NAME` is a position, `command/RECEIPT` a command."""
    damaged_tables: list[str] = []
    """Other tables of which a part is gone: with keys, a redelivery may be taken for a new event."""


def copy(source: Path, target: Path) -> Copy:
    """Write a copy of a sound journal, in use or not, to `target`; what was there is replaced at the end.

    Raises:
        Damaged: it is not sound.
        ConfigError: it is not a journal of this version.
        sqlite3.Error, OSError: it cannot be read, or the copy not be written; nothing is left of it.
    """
    return _copy(source, target, is_salvage=False)


def salvage(source: Path, target: Path) -> Copy:
    """Write what can be read of a journal that nobody has open to `target`.

    The numbers of new events begin far above all that were given, as it is not known which were. Where rows
    are gone, the copy has a hole, which its readers will be told of.

    Raises:
        Damaged: there is nothing left of the events.
        ConfigError, sqlite3.Error, OSError: as `copy`.
    """
    return _copy(source, target, is_salvage=True)


def _copy(source: Path, target: Path, *, is_salvage: bool) -> Copy:
    refuse_empty(source, had_wal=has_wal(source))
    draft = draft_of(target)
    try:
        with closing(connect(source, mode="ro")) as reader, closing(connect(draft, mode="rw")) as writer:
            reader.execute(f"PRAGMA busy_timeout = {_BUSY_S * 1000:.0f}")
            if is_salvage:
                # Without it SQLite reads nothing at all of a file that was cut off.
                reader.execute("PRAGMA writable_schema = ON")
            _refuse_other_versions(reader, source, is_salvage=is_salvage)
            copying = _Copying(reader, writer, saved=carve(source) if is_salvage else None)
            copying.run()
        install(draft, target)
    finally:
        draft.unlink(missing_ok=True)
    return copying.copy


def _refuse_other_versions(reader: sqlite3.Connection, source: Path, *, is_salvage: bool) -> None:
    try:
        version = refuse_foreign(reader, source)
    except sqlite3.DatabaseError as exc:
        if is_salvage and chunks.is_damage(exc):
            return  # the header is damaged; the rows of events can be found without it
        raise
    if version != SCHEMA_VERSION:
        text = f"{source} is of an earlier version (schema {version}); `longwire run` brings it forward"
        raise ConfigError([Problem("supervisor.data_dir", text)])


class _Copying:
    """One copy in the making: `writer` has an empty journal that is thrown away if anything fails."""

    def __init__(
        self, reader: sqlite3.Connection, writer: sqlite3.Connection, *, saved: Iterator[Chunk] | None
    ) -> None:
        self.copy = Copy()
        self._reader = reader
        self._writer = writer
        self._saved = saved
        self._end_bytes: int | None = None

    def run(self) -> None:
        self._writer.execute("PRAGMA journal_mode = OFF")
        self._writer.execute("PRAGMA synchronous = OFF")
        self._writer.execute("BEGIN")
        if self._saved is not None:
            for chunk in self._saved:
                self._keep(chunk)
        else:
            while self._copy_events():
                pass
            self._reader.execute("BEGIN")
            while self._copy_events():  # what came meanwhile, now together with the rest
                pass
        for table in self._tables():
            self._copy_table(table)
        if self._saved is not None:
            # A run that is not listed is never searched. Its time is lost: so it stays for a window.
            self._writer.execute(
                "INSERT OR IGNORE INTO key_runs SELECT DISTINCT run, ? FROM sealed_keys", (time.time(),)
            )
        self._finish()
        self._writer.execute("COMMIT")

    def _copy_events(self) -> bool:
        """Copy a few MiB of rows; false when there are no more."""
        size = 0
        rows = self._reader.execute(
            f"SELECT {chunks.COLUMNS} FROM chunks WHERE first_seq > ? ORDER BY first_seq LIMIT {_BATCH_ROWS}",  # noqa: S608
            (self.copy.last_seq,),
        )
        with closing(rows):
            for row in rows:
                chunk = Chunk(*row)
                chunks.verify(chunk)
                self._keep(chunk)
                size += len(chunk.events)
                if size > _BATCH_BYTES:
                    break
        return size > 0

    def _keep(self, chunk: Chunk) -> None:
        copy = self.copy
        if self._end_bytes is not None and chunk.start_bytes not in {None, self._end_bytes}:
            copy.gaps.append((copy.last_seq + 1, chunk.first_seq - 1))
        self._writer.execute(
            f"INSERT INTO chunks ({chunks.COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608
            chunk,
        )
        copy.rows += 1
        copy.size_bytes += len(chunk.events)
        copy.last_seq, self._end_bytes = chunk.last_seq, chunk.end_bytes

    # All tables but that of events.

    def _tables(self) -> list[str]:
        found = self._writer.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'chunks' ORDER BY name"
        )
        return [name for (name,) in found]

    def _copy_table(self, table: str) -> None:
        self._writer.execute(f'DELETE FROM "{table}"')  # noqa: S608  # a name of our own schema
        try:
            self._copy_rows(table, "ASC")
        except (sqlite3.Error, Damaged) as exc:
            if self._saved is None or not chunks.is_damage(exc):
                raise
            self.copy.damaged_tables.append(table)
            with suppress(sqlite3.DatabaseError):  # what lies behind the damage
                self._copy_rows(table, "DESC")

    def _copy_rows(self, table: str, order: str) -> None:
        rows = self._reader.execute(f'SELECT * FROM "{table}" ORDER BY 1 {order}')  # noqa: S608
        marks = ", ".join("?" for _ in rows.description)
        with closing(rows):
            self._writer.executemany(
                f'INSERT OR IGNORE INTO "{table}" VALUES ({marks})',  # noqa: S608
                self._whole(table, rows),
            )

    def _whole(self, table: str, rows: sqlite3.Cursor) -> Iterator[tuple[Any, ...]]:
        """Give the rows that are what was stored, as far as the table has checksums."""
        key_at, prefix = _SEALED.get(table, (None, ""))
        for row in rows:
            try:
                if key_at is not None:
                    unseal(row[key_at], row[-1])
            except Damaged:
                if self._saved is None:
                    raise
                self.copy.lost_states.append(f"{prefix}{row[key_at]}")
            else:
                yield row

    def _finish(self) -> None:
        """Make the numbers fit what was copied."""
        known = self._writer.execute("SELECT newest_seq > removed_to FROM high_water").fetchone()
        if known is None:
            self._writer.execute("INSERT INTO high_water (seq) VALUES (0)")
        values = {"last": self.copy.last_seq, "end": self._end_bytes or 0, "skip": _NUMBERS_LEFT_OUT}
        if self._saved is not None:
            if not self.copy.rows and known != (0,):
                raise Damaged("there were events, and none of them can be found")
            self._miss_the_newest()
            # One byte that no row has: what comes next does not follow what was saved.
            self._writer.execute(
                "UPDATE high_water SET seq = max(seq, :last) + :skip, end_bytes = max(end_bytes, :end) + 1",
                values,
            )
        self._writer.execute("UPDATE high_water SET is_whole = 1, newest_seq = :last", values)
        # Retention may have overtaken the copying.
        (removed_to,) = self._writer.execute("SELECT removed_to FROM high_water").fetchone()
        self._writer.execute(
            "DELETE FROM chunks WHERE first_seq <= :end AND last_seq <= :end", {"end": removed_to}
        )
        (self.copy.first_seq,) = self._writer.execute("SELECT min(first_seq) FROM chunks").fetchone()
        self.copy.gaps = [gap for gap in self.copy.gaps if gap[1] > removed_to]

    def _miss_the_newest(self) -> None:
        """Name those that are gone behind the last one, as far as the file knew of them."""
        (newest,) = self._writer.execute("SELECT newest_seq FROM high_water").fetchone()
        if newest > self.copy.last_seq:
            self.copy.gaps.append((self.copy.last_seq + 1, newest))
