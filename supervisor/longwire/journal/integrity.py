"""Which files are refused at the start, with what the operator can do: never silently wrong, nor empty.

Looked at, on a connection that cannot write, is what everything else rests on and what costs little: the
header, every small table, the states' checksums, the newest row of events, the file's size, the write-ahead
log. Checking 2 GiB of events takes 1 s from memory and 10 s and more from a disk; they have checksums and are
checked when they are read. So are the sealed keys, whose search ends in a commit that fails.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from longwire.journal import chunks
from longwire.journal.checksums import Damaged, unseal
from longwire.journal.commands import read_open
from longwire.journal.migrations import APPLICATION_ID, SCHEMA_VERSION
from longwire.journal.wal import Frame
from longwire_protocol.errors import ConfigError, Problem

_REMEDY = (
    "`longwire recover` saves what can be read, or put a backup in its place; the file was left as it is"
)

_FIRST_WITH_CHECKSUMS = 2
_FIRST_WITH_COMMANDS = 5


def examine(connection: sqlite3.Connection, path: Path, *, had_wal: bool) -> int:
    """Return the schema version of a journal that can be used.

    Args:
        connection: read-only, nothing read on it yet.
        path: for messages.
        had_wal: whether a write-ahead log was there before the connection was made.

    Raises:
        ConfigError: it is damaged, foreign, or too new.
        sqlite3.Error: it cannot be read now.
    """
    refuse_empty(path, had_wal=had_wal)
    try:
        _check_size(connection, path, had_wal=had_wal)
        version = refuse_foreign(connection, path)
        _check_tables(connection)
        if version >= _FIRST_WITH_CHECKSUMS:
            _check_whole(connection, had_wal=had_wal)
            _check_states(connection)
            _check_newest(connection)
        if version >= _FIRST_WITH_COMMANDS:
            read_open(connection)  # a command that is lost silently would be a broken promise
    except Damaged as exc:
        raise refusal(path, f"is damaged: {exc}; {_REMEDY}") from exc
    except sqlite3.DatabaseError as exc:
        if isinstance(exc, sqlite3.OperationalError) and not chunks.is_damage(exc):
            raise
        raise refusal(path, f"is damaged: {exc}; {_REMEDY}") from exc
    return version


def refuse_empty(path: Path, *, had_wal: bool) -> None:
    """Refuse a file without a byte.

    Raises:
        ConfigError: it is one.
    """
    if path.stat().st_size == 0 and not had_wal:
        text = "is empty, which a journal never is; put a backup in its place, or move it away to begin anew"
        raise refusal(path, text)


def refuse_foreign(connection: sqlite3.Connection, path: Path) -> int:
    """Return the file's schema version.

    Raises:
        ConfigError: it is another program's, or of a newer release.
        sqlite3.Error: it cannot be read.
    """
    if _pragma(connection, "application_id") != APPLICATION_ID:
        raise refusal(path, "is a database of another program; use another data_dir")
    version = _pragma(connection, "user_version")
    if version > SCHEMA_VERSION:
        text = (
            f"was written by a newer Longwire (schema {version}, this one knows {SCHEMA_VERSION}); "
            "install that version again, or use another data_dir"
        )
        raise refusal(path, text)
    return version


def half_recovered(path: Path) -> Path | None:
    """Return where a `recover` that was killed has put the journal aside, which is still at `path`, too."""
    asides = path.parent.glob(f"{path.name}.damaged-*") if path.exists() else ()
    return next((aside for aside in asides if aside.samefile(path)), None)


def refuse_half_recovered(path: Path) -> None:
    """Refuse a journal whose log may lie elsewhere.

    Raises:
        ConfigError: `recover` was killed.
    """
    aside = half_recovered(path)
    if aside is not None:
        raise refusal(path, f"is {aside.name}, too: `longwire recover` was interrupted; run it again")


def refuse_damaged_wal(path: Path, unread: Iterable[Frame]) -> None:
    """Refuse a log of which more than a torn last commit is unread.

    Raises:
        ConfigError: acknowledged events would be lost silently.
    """
    commits = sum(frame.is_end for frame in unread)
    if commits > 1:
        raise refusal(path, f"is damaged: {commits} commits of its -wal cannot be read; {_REMEDY}")


def _check_states(connection: sqlite3.Connection) -> None:
    """Raise `Damaged` if a state is not what was stored."""
    for key, value in connection.execute("SELECT key, value FROM state"):
        unseal(key, value)


def refusal(path: Path, text: str) -> ConfigError:
    """Return the problem of the configuration that `path` cannot be used for this reason."""
    return ConfigError([Problem("supervisor.data_dir", f"{path} {text}")])


def _check_size(connection: sqlite3.Connection, path: Path, *, had_wal: bool) -> None:
    # With a log, pages may be in it alone; without, a page count that is wrong would be written over.
    expected = _pragma(connection, "page_count") * _pragma(connection, "page_size")
    size = path.stat().st_size
    if not had_wal and size != expected:
        raise Damaged(f"it has {size} bytes where {expected} were written")


def _check_whole(connection: sqlite3.Connection, *, had_wal: bool) -> None:
    (is_whole,) = connection.execute("SELECT is_whole FROM high_water").fetchone() or (None,)
    if is_whole is None:
        raise Damaged("its numbers are gone")
    if not had_wal and not is_whole:
        raise Damaged("its -wal is missing, and with it the newest events")


def _check_tables(connection: sqlite3.Connection) -> None:
    """Let SQLite check the small tables, row by row."""
    names = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('chunks', 'sealed_keys')"
    )
    for (name,) in names.fetchall():
        (finding,) = connection.execute(f"PRAGMA quick_check('{name}')").fetchone()
        if finding != "ok":
            raise Damaged(f"table {name}: {finding}")


def _check_newest(connection: sqlite3.Connection) -> None:
    """Raise `Damaged` if the row that says which number comes next cannot be trusted, or is gone."""
    newest = chunks.last(connection)
    if newest is not None:
        chunks.decode(newest)
    newest_seq, removed_to = connection.execute("SELECT newest_seq, removed_to FROM high_water").fetchone()
    if newest_seq > max(removed_to, 0 if newest is None else newest.last_seq):
        raise Damaged(f"event {newest_seq}, which was the newest, is not there")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
