"""What is on the disk of a SQLite database in WAL mode after a crash at any write, and disks that fail.

While the code under test writes, everything goes to a real file. A crash is a copy of it in which the last
writes, up to the last one that was synced, are done, undone or done in part: any byte may be the last, and
blocks behind it may have come first. What SQLite syncs, and in which order, is from https://sqlite.org/wal.html
and `sqlite3WalFrames`, `walCheckpoint` of wal.c: a new header of the log; its frames, when `synchronous` is
FULL; and, in a checkpoint, the pages of the database before the log is used anew.
"""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness.strands import Strands

_HEADER = 32
_BLOCK = 512
_FULL = 2
_MANY_PAGES = 1_000_000

Choose = Callable[[int, int], int]
"""Returns a number between two, both included."""


class Image(NamedTuple):
    """The two files."""

    db: bytes
    wal: bytes

    @classmethod
    def of(cls, path: Path) -> Image:
        wal = _wal(path)
        return cls(path.read_bytes() if path.exists() else b"", wal.read_bytes() if wal.exists() else b"")

    def save(self, path: Path) -> None:
        for file, content in [(path, self.db), (_wal(path), self.wal)]:
            if content:
                file.write_bytes(content)


class Disk:
    """Watches a database's writer, holds and fails its writes, and tells what a crash leaves.

    Attributes:
        is_held: the next commit waits until this is false.
        room: bytes behind which the files cannot be written, `None` for no limit: a write fails half-done.
        is_full: whether the database may not grow: statements fail, and the transaction stays open.
        log_end: where the last write to the log ended.
        stop_in: after so many more writes the writer goes no further; `None` for never.
    """

    def __init__(self, strands: Strands) -> None:
        self._strands = strands
        self._connections: list[sqlite3.Connection] = []
        self.path = Path()
        self.synced = self.written = Image(b"", b"")
        self.is_held = False
        self.is_full = False
        self.room: int | None = None
        self.stop_in: int | None = None
        self.log_end = 0

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Have every connection made from now on watched."""
        connect = sqlite3.connect

        def watched(*args: Any, **kwargs: Any) -> sqlite3.Connection:
            connection = connect(*args, **kwargs, factory=_Watched)
            assert isinstance(connection, _Watched)
            if args[0] == f"{self.path.absolute().as_uri()}?mode=rw":
                connection.disk = self
            self._connections.append(connection)
            return connection

        patch.setattr(sqlite3, "connect", watched)

    def use(self, path: Path) -> None:
        """Begin with the files as they are."""
        self.path = path
        self.synced = self.written = Image.of(path)

    @property
    def is_stopped(self) -> bool:
        """Whether the writer stands in the middle of a write."""
        return self.stop_in == -1

    def crash_image(self, choose: Choose) -> Image:
        """Return what may be found on the disk if the power fails now."""
        steps = _steps(self.synced, self.written)
        done = choose(0, len(steps))
        return _torn(*steps[done], choose) if done < len(steps) else self.written

    def forget(self) -> None:
        """Close what a crashed process had open."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        self.heal()
        self.stop_in = None

    def heal(self) -> None:
        """Let everything work again."""
        self.is_held, self.is_full, self.room = False, False, None

    @property
    def is_healthy(self) -> bool:
        return not (self.is_held or self.is_full) and self.room is None

    # The writer's side.

    def write(self, connection: sqlite3.Connection, work: Callable[[], sqlite3.Cursor]) -> sqlite3.Cursor:
        """Do what changes the files, and note what it changed."""
        self._strands.wait(lambda: not self.is_held)
        try:
            with self._limited():
                cursor = work()
        finally:
            before, self.written = self.written, Image.of(self.path)
            changed = _changed(before.wal, self.written.wal)
            self.log_end = changed[-1] + _BLOCK if changed else self.log_end
        if self.stop_in is not None:
            self.stop_in -= 1
            if self.is_stopped:
                self._strands.is_frozen = True  # nobody may see what is not yet synced
                self._strands.wait(lambda: False)
        if connection.execute("PRAGMA synchronous").fetchone()[0] >= _FULL:
            self.synced = self.written
        return cursor

    @contextmanager
    def _limited(self) -> Generator[None]:
        if self.room is None:
            yield
            return
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.room, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class _Watched(sqlite3.Connection):
    disk: Disk | None = None

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:  # type: ignore[override]
        if self.disk is None:
            return super().execute(sql, *args)
        is_alone = not self.in_transaction and sql.split(None, 1)[0] in {"INSERT", "UPDATE", "DELETE"}
        if is_alone or sql == "COMMIT" or sql.startswith("PRAGMA wal_checkpoint"):
            return self.disk.write(self, lambda: super(_Watched, self).execute(sql, *args))
        if sql.startswith("BEGIN"):
            super().execute(f"PRAGMA max_page_count = {1 if self.disk.is_full else _MANY_PAGES}")
        return super().execute(sql, *args)


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _steps(before: Image, after: Image) -> list[tuple[Image, Image]]:
    """Return what lies between two images, cut where SQLite syncs."""
    images = [before]
    if after.wal and after.wal[:_HEADER] != before.wal[:_HEADER]:
        images.append(Image(before.db, after.wal[:_HEADER] + before.wal[_HEADER:]))
    if after.wal:
        images.append(Image(before.db, after.wal))
    images += [Image(after.db, images[-1].wal), after]
    return [(old, new) for old, new in pairwise(images) if old != new]


def _torn(old: Image, new: Image, choose: Choose) -> Image:
    return Image(_mixed(old.db, new.db, choose), _mixed(old.wal, new.wal, choose))


def _changed(old: bytes, new: bytes) -> list[int]:
    """Return where the blocks begin that are other than they were."""
    return [at for at in range(0, len(new), _BLOCK) if old[at : at + _BLOCK] != new[at : at + _BLOCK]]


def _mixed(old: bytes, new: bytes, choose: Choose) -> bytes:
    """Return the new bytes up to one of them, then the old ones, but for some blocks that came early."""
    if len(new) < len(old):  # a file is cut off last
        return _mixed(old, new + old[len(new) :], choose)[: len(new) if choose(0, 1) else len(old)]
    changed = _changed(old, new)
    if not changed:
        return old
    end = choose(changed[0], min(changed[-1] + _BLOCK, len(new)))
    mixed = bytearray(new[:end] + old[end:])
    for _ in range(choose(0, 3)):
        at = changed[choose(0, len(changed) - 1)]
        early = new[at : at + _BLOCK]
        mixed.extend(bytes(max(0, at - len(mixed))))
        mixed[at : at + len(early)] = early
    return bytes(mixed)
