"""Rows of events: how they are written, verified and found again beyond a damaged page.

Each row knows how many bytes of events the journal ever had up to its end (`end_bytes`). So two neighbours
show whether a row between them has vanished, which their numbers do not: those have gaps anyway.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from longwire.journal.checksums import Damaged, chunk_checksum
from longwire.journal.records import Stored

CHUNK_EVENTS = 256
"""Most events of one row; a reader decodes a whole row to get one event of it."""

CHUNK_BYTES = 1024 * 1024
"""A row over this many bytes of bodies is ended, so it may be larger by one event."""

COLUMNS = "first_seq, last_seq, committed_at, events, crc, end_bytes"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Stored]).decode


class Chunk(NamedTuple):
    """One row, as it is on disk."""

    first_seq: int
    last_seq: int
    committed_at: float
    events: bytes
    crc: int | None
    """`None` for rows of schema 1."""
    end_bytes: int | None
    """Bytes of events ever written, this row included; `None` for rows of schema 1."""

    @property
    def start_bytes(self) -> int | None:
        """Where it begins: the `end_bytes` of the row before it."""
        return None if self.end_bytes is None else self.end_bytes - len(self.events)


def insert(connection: sqlite3.Connection, stored: list[Stored], *, now: float, end_bytes: int) -> int:
    """Write events that follow each other; `end_bytes` is that of the row before. Return that of the last."""
    for events in _cut(stored):
        body = _encode(events)
        first_seq, last_seq = events[0].seq, events[-1].seq
        end_bytes += len(body)
        crc = chunk_checksum(
            body, first_seq=first_seq, last_seq=last_seq, committed_at=now, end_bytes=end_bytes
        )
        connection.execute(
            f"INSERT INTO chunks ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608  # a constant
            (first_seq, last_seq, now, body, crc, end_bytes),
        )
    return end_bytes


def decode(chunk: Chunk) -> list[Stored]:
    """Return a row's events.

    Raises:
        Damaged: they are not what was written.
    """
    _verify(chunk)
    try:
        return _decode(chunk.events)
    except (msgspec.MsgspecError, TypeError) as exc:
        raise Damaged(f"the row of event {chunk.first_seq} cannot be read: {exc}") from exc


def verify(chunk: Chunk) -> None:
    """Raise `Damaged` if the row is not what was written."""
    if chunk.crc is None:
        decode(chunk)
    else:
        _verify(chunk)


def _verify(chunk: Chunk) -> None:
    try:
        if chunk.crc is not None and chunk.crc != chunk_checksum(
            chunk.events,
            first_seq=chunk.first_seq,
            last_seq=chunk.last_seq,
            committed_at=chunk.committed_at,
            end_bytes=chunk.end_bytes or 0,
        ):
            raise Damaged(f"the row of event {chunk.first_seq} fails its checksum")
    except TypeError as exc:  # a value of another kind than was written
        raise Damaged(f"the row of event {chunk.first_seq} cannot be read: {exc}") from exc


def is_damage(error: Exception) -> bool:
    """Whether the file was found damaged, or without what is always there: not busy, full or gone."""
    if isinstance(error, Damaged):
        return True
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def last(connection: sqlite3.Connection) -> Chunk | None:
    """Return the newest row."""
    row = connection.execute(
        f"SELECT {COLUMNS} FROM chunks ORDER BY first_seq DESC LIMIT 1"  # noqa: S608
    ).fetchone()
    return None if row is None else Chunk(*row)


class Extent(NamedTuple):
    """Where a row ends."""

    last_seq: int
    end_bytes: int


def oldest(connection: sqlite3.Connection) -> Extent | None:
    """Return where the oldest row ends, so that a damaged number in it takes no other row along."""
    rows = connection.execute(
        "SELECT first_seq, last_seq, end_bytes FROM chunks ORDER BY first_seq LIMIT 2"
    ).fetchall()
    if not rows:
        return None
    first_seq, last_seq, end_bytes = rows[0]
    return Extent(bounded(first_seq, last_seq, *(row[0] for row in rows[1:])), end_bytes or 0)


def bounded(first_seq: int, last_seq: int, next_seq: int | None = None) -> int:
    """Return the number a row ends with, within what its own and the next row's first number allow."""
    return max(first_seq, last_seq if next_seq is None else min(last_seq, next_seq - 1))


def read(connection: sqlite3.Connection, first_seq: int) -> Chunk:
    """Return one row that is whole.

    Raises:
        Damaged: it is not.
        sqlite3.Error: the file cannot be read now.
    """
    try:
        row = connection.execute(
            f"SELECT {COLUMNS} FROM chunks WHERE first_seq = ?",  # noqa: S608
            (first_seq,),
        ).fetchone()
    except sqlite3.Error as exc:
        if not is_damage(exc):
            raise
        raise Damaged(f"the row of event {first_seq} cannot be reached: {exc}") from exc
    if row is None:
        raise Damaged(f"the row of event {first_seq} is not where its number leads")
    chunk = Chunk(*row)
    verify(chunk)
    return chunk


def next_whole(connection: sqlite3.Connection, after_seq: int, *, head: int) -> Chunk | None:
    """Return the first row beginning after `after_seq` that is whole, whatever lies before it.

    Raises:
        sqlite3.Error: the file cannot be read now.
    """
    while after_seq < head:
        number = _next_key(connection, after_seq, head=head)
        if number is None:
            return None
        try:
            return read(connection, number)
        except Damaged:
            after_seq = number
    return None


def _next_key(connection: sqlite3.Connection, after_seq: int, *, head: int) -> int | None:
    """Return the next row's number; beyond a page that cannot be read, the nearest that is found.

    A page of the tree that is damaged hides a range of numbers of unknown length: leap over it in steps
    that double, then halve them back to its end.
    """
    step = 1
    while not (found := _probe(connection, after_seq + step)).is_readable:
        if after_seq + step > head:
            return None
        step *= 2
    low, high = after_seq + step // 2, after_seq + step
    while high - low > 1:
        middle = (low + high) // 2
        probe = _probe(connection, middle)
        if probe.is_readable:
            high, found = middle, probe
        else:
            low = middle
    return found.first_seq


class _Probe(NamedTuple):
    is_readable: bool
    first_seq: int | None = None


def _probe(connection: sqlite3.Connection, from_seq: int) -> _Probe:
    try:
        row = connection.execute(
            "SELECT min(first_seq) FROM chunks WHERE first_seq >= ?", (from_seq,)
        ).fetchone()
    except sqlite3.Error as exc:
        if not is_damage(exc):
            raise
        return _Probe(is_readable=False)
    return _Probe(is_readable=True, first_seq=row[0])


def _cut(stored: list[Stored]) -> Iterator[list[Stored]]:
    """Cut the events into rows of at most `CHUNK_EVENTS`, each ended once it is over `CHUNK_BYTES`."""
    start = size = 0
    for end, event in enumerate(stored, 1):
        size += len(event.body)
        if end - start == CHUNK_EVENTS or size > CHUNK_BYTES:
            yield stored[start:end]
            start, size = end, 0
    if start < len(stored):
        yield stored[start:]
