"""The write-ahead log beside the journal: how long it is, whether it is missing, whether part of it is lost.

**Missing.** Without its `-wal` a file that was in use looks perfectly sound, only older: events that were
acknowledged are gone and their numbers would be given again. So before the log is folded in, the file is
marked as not whole, and the first commit after it, in the log, marks it as whole again. What stands in
the file then tells a log that was folded in by somebody (another SQLite program that closed the file
last, or we at a clean stop) from one that was taken away.

**Damaged.** SQLite ends recovery at the first frame that fails its checksum and takes that for the end. The
frames behind it tell whether it was: a commit begins only after the one before it was synced, so of what a
crash tore at most the last commit can be unreadable. Two commits behind the end mean damage. What was torn is
cut off before the log is written on (`cut_torn_tail`), or a second crash could leave some of both.

Layout: https://www.sqlite.org/walformat.html.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_SHM_FRAMES_AT = 16  # `mxFrame` of the index header in -shm, in the machine's own byte order
_FRAMES = struct.Struct("=I")


def wal_path(path: Path) -> Path:
    """Return where SQLite keeps the log of the database at `path`."""
    return path.with_name(path.name + "-wal")


def has_wal(path: Path) -> bool:
    """Return whether the database has a log; a reader leaves an empty file behind, which is none."""
    wal = wal_path(path)
    return wal.exists() and wal.stat().st_size > 0


def shm_path(path: Path) -> Path:
    """Return where SQLite keeps the index of that log."""
    return path.with_name(path.name + "-shm")


class WalGauge:
    """Says how long the log is at present, for about a microsecond.

    SQLite's locks belong to the process and go when *any* descriptor of the file is closed. So the
    descriptor stays open until `close`, which comes after the connection's own.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.path = Path(connection.execute("PRAGMA database_list").fetchone()[2])
        """Of the database itself."""
        self._fd = os.open(shm_path(self.path), os.O_RDONLY | os.O_CLOEXEC)

    @property
    def frames(self) -> int:
        """Pages in the log that count; 0 after it was begun anew."""
        return int(_FRAMES.unpack(os.pread(self._fd, _FRAMES.size, _SHM_FRAMES_AT))[0])

    def close(self) -> None:
        """Give the descriptor back; the connection is closed."""
        os.close(self._fd)


def unread_frames(path: Path) -> list[Frame]:
    """Return what lies in the log behind what SQLite recovered of it; over one commit means damage.

    To be called after a connection has read the database and was closed, and before another one writes.
    """
    try:
        with shm_path(path).open("rb") as shm:
            shm.seek(_SHM_FRAMES_AT)
            (recovered,) = _FRAMES.unpack(shm.read(_FRAMES.size))
        with wal_path(path).open("rb") as log:
            return list(wal_frames(log, after_frame=recovered))
    except (FileNotFoundError, struct.error):
        return []


def cut_torn_tail(path: Path, unread: Sequence[Frame]) -> None:
    """Remove the unread frames, if a crash left any; under the same conditions."""
    if unread:
        with wal_path(path).open("r+b") as log:
            log.truncate(unread[0].position - _FRAME_HEADER_BYTES)
            os.fsync(log.fileno())


class Frame(NamedTuple):
    """One page in the log."""

    page: int
    position: int
    """Where its content begins."""
    is_end: bool
    """Whether a commit ends with it."""


def wal_frames(log: BinaryIO, *, after_frame: int = 0) -> Iterator[Frame]:
    """Give each frame of this log, behind so many.

    Frames of an earlier log in the same file are left out. Checksums are not looked at.
    """
    header = log.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES:
        return
    _, _, page_bytes, _, salt, _, _ = struct.unpack(">4I8s2I", header)
    position = _HEADER_BYTES + after_frame * (_FRAME_HEADER_BYTES + page_bytes)
    while True:
        log.seek(position)
        frame = log.read(_FRAME_HEADER_BYTES)
        if len(frame) < _FRAME_HEADER_BYTES:
            return
        page, pages_after_commit, frame_salt, _ = struct.unpack(">2I8sQ", frame)
        position += _FRAME_HEADER_BYTES
        if frame_salt == salt:
            yield Frame(page, position, bool(pages_after_commit))
        position += page_bytes
