"""Putting what can be saved of a damaged journal in its place, and the damaged one aside."""

from __future__ import annotations

import os
import sqlite3
from itertools import count
from pathlib import Path

from longwire.journal.checksums import Damaged
from longwire.journal.chunks import is_damage
from longwire.journal.copying import Copy, salvage
from longwire.journal.integrity import half_recovered
from longwire.journal.schema import install
from longwire.journal.wal import shm_path, wal_path
from longwire_protocol.errors import ConfigError, Problem


def recover(path: Path) -> tuple[Copy, Path]:
    """Replace the journal at `path` by a sound one with all that can be read of it; nobody has it open.

    A crash on the way leaves the damaged journal in its place, which nothing but another try then opens, or
    the new one.

    Returns:
        What was saved, and where the damaged file is now, with its companions.

    Raises:
        ConfigError: nothing can be read of it, or it is not a journal; it was left as it is.
        sqlite3.Error, OSError: the disk does not take the new file, or gives none of the old one now.
    """
    _begin_anew(path)
    saved = path.with_name(path.name + ".recovered")
    try:
        copy = salvage(path, saved)
    except (sqlite3.Error, Damaged) as exc:
        if not is_damage(exc):
            raise
        text = f"{path}: nothing can be saved of it: {exc}; put a backup in its place"
        raise ConfigError([Problem("supervisor.data_dir", text)]) from exc
    aside = next(free for n in count(1) if not (free := path.with_name(f"{path.name}.damaged-{n}")).exists())
    os.link(path, aside)
    # Before the new file is there: SQLite would take this log for that file's own.
    if wal_path(path).exists():
        wal_path(path).rename(wal_path(aside))
    shm_path(path).unlink(missing_ok=True)
    install(saved, path)
    return copy, aside


def _begin_anew(path: Path) -> None:
    """Undo what a try that was killed had begun, else the log that it moved would be missed."""
    aside = half_recovered(path)
    if aside is None:
        return
    if wal_path(aside).exists():
        wal_path(aside).replace(wal_path(path))
        shm_path(path).unlink(missing_ok=True)
    aside.unlink()
