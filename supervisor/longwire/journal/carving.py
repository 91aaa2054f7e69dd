"""Rows of events taken from a file's pages directly, when the tree that leads to them cannot be trusted.

The pages that lead to all others are few, and the newest of them lie at the end of the file: one that is
damaged or cut off hides any number of rows that are whole. But a row says what it is, and its checksum proves
it. So every page is looked at, for rows of the shape of ours; what proves to be one is one.

Layout: https://www.sqlite.org/fileformat2.html, sections 1.5, 1.6 and 2.1.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from longwire.journal import chunks
from longwire.journal.checksums import Damaged
from longwire.journal.chunks import Chunk
from longwire.journal.schema import PAGE_BYTES
from longwire.journal.wal import wal_frames, wal_path

_LEAF = 0x0D
_SQLITE_HEADER_BYTES = 100
_MOST_ROW_BYTES = 64 * 1024 * 1024
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}  # serial type: bytes
_REAL, _ZERO, _ONE, _FIRST_BLOB = 7, 8, 9, 12

Value = int | float | bytes | None


class Pages:
    """The pages of a database and of its log, each as it was last written."""

    def __init__(self, path: Path) -> None:
        self._main = path.open("rb")
        self._log: BinaryIO | None = None
        self._in_log: dict[int, int] = {}
        header = self._main.read(_SQLITE_HEADER_BYTES)
        size = int.from_bytes(header[16:18], "big")
        self.page_bytes = size if size >= 512 and size & (size - 1) == 0 else PAGE_BYTES  # noqa: PLR2004
        self.count = path.stat().st_size // self.page_bytes
        if wal_path(path).exists():
            self._log = wal_path(path).open("rb")
            self._in_log = {page: at for page, at, _ in wal_frames(self._log)}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._main.close()
        if self._log is not None:
            self._log.close()

    def __iter__(self) -> Iterator[int]:
        """Every page's number."""
        yield from range(1, self.count + 1)
        yield from sorted(page for page in self._in_log if page > self.count)

    def read(self, number: int) -> bytes:
        """Return a page; less or nothing where the file ends."""
        at = self._in_log.get(number)
        if at is not None and self._log is not None:
            self._log.seek(at)
            return self._log.read(self.page_bytes)
        if not 0 < number <= self.count:
            return b""
        self._main.seek((number - 1) * self.page_bytes)
        return self._main.read(self.page_bytes)


def carve(path: Path) -> Iterator[Chunk]:
    """Give every row of events that is whole, in order, also some that were removed already.

    Raises:
        OSError: the file cannot be read.
    """
    with Pages(path) as pages:
        places: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for page in pages:
            for first_seq, at in _cells(pages.read(page), header_at=_SQLITE_HEADER_BYTES if page == 1 else 0):
                places[first_seq].append((page, at))
        position = 0
        for first_seq in sorted(places):
            whole = (_chunk(pages, page, at) for page, at in places[first_seq])
            chunk = next((found for found in whole if found is not None), None)
            if chunk is not None and first_seq > position:
                yield chunk
                position = chunk.last_seq


def _cells(page: bytes, *, header_at: int) -> Iterator[tuple[int, int]]:
    """Give row number and place of what may be rows on a page."""
    if len(page) <= header_at + 8 or page[header_at] != _LEAF:
        return
    count = int.from_bytes(page[header_at + 3 : header_at + 5], "big")
    pointers = page[header_at + 8 : header_at + 8 + 2 * count]
    for (at,) in struct.iter_unpack(">H", pointers[: len(pointers) & ~1]):
        _, behind = _varint(page, at)
        first_seq, _ = _varint(page, behind)
        if 0 < first_seq < 2**62:
            yield first_seq, at


def _chunk(pages: Pages, page_number: int, at: int) -> Chunk | None:
    """Return the row at a place, if it is one and whole."""
    page = pages.read(page_number)
    size, behind = _varint(page, at)
    first_seq, start = _varint(page, behind)
    if not 0 < size <= _MOST_ROW_BYTES:
        return None
    values = _values(_payload(pages, page, start, size))
    match values:
        case [None, int(last_seq), int() | float() as committed_at, bytes(events), *rest]:
            crc, end_bytes = (*rest, None, None)[:2]
        case _:
            return None
    if isinstance(crc, float | bytes) or isinstance(end_bytes, float | bytes):
        return None
    chunk = Chunk(first_seq, last_seq, float(committed_at), events, crc, end_bytes)
    try:
        found = chunks.decode(chunk)
    except Damaged:
        return None
    is_whole = bool(found) and (found[0].seq, found[-1].seq) == (first_seq, last_seq)
    return chunk if is_whole else None


def _payload(pages: Pages, page: bytes, start: int, size: int) -> bytes:
    """Return a row's bytes, which go on in other pages if they are many; too few if that chain is broken."""
    usable = pages.page_bytes
    most = usable - 35
    if size <= most:
        return page[start : start + size]
    least = (usable - 12) * 32 // 255 - 23
    fitting = least + (size - least) % (usable - 4)
    local = fitting if fitting <= most else least
    parts = [page[start : start + local]]
    left, following = size - local, page[start + local : start + local + 4]
    while left > 0:
        more = pages.read(int.from_bytes(following, "big"))
        if len(more) < usable:
            break
        parts.append(more[4 : 4 + left])
        left, following = left - (usable - 4), more[:4]
    return b"".join(parts)


def _values(record: bytes) -> list[Value]:
    """Return a record's values; nothing if it is none."""
    end, at = _varint(record, 0)
    values: list[Value] = []
    body = end
    while at < end <= len(record):
        kind, at = _varint(record, at)
        size = _INTEGERS.get(kind, 8 if kind == _REAL else max(0, (kind - _FIRST_BLOB) // 2))
        data = record[body : body + size]
        if len(data) < size or (kind >= _FIRST_BLOB and kind % 2):
            return []
        values.append(_value(kind, data))
        body += size
    return values


def _value(kind: int, data: bytes) -> Value:
    if kind in _INTEGERS:
        return int.from_bytes(data, "big", signed=True)
    if kind == _REAL:
        return float(struct.unpack(">d", data)[0])
    if kind >= _FIRST_BLOB:
        return data
    return {_ZERO: 0, _ONE: 1}.get(kind)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of one to nine bytes and where it ends; 0 where the data ends before."""
    value = 0
    for n in range(8):
        if at + n >= len(data):
            return 0, len(data)
        byte = data[at + n]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:  # noqa: PLR2004  # the last byte has no high bit
            return value, at + n + 1
    return (value << 8 | data[at + 8], at + 9) if at + 8 < len(data) else (0, len(data))
