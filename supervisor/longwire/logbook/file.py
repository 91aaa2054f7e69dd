"""The logbook on disk, so that what was said before a restart or a `kill -9` can still be read.

One file of JSON lines, which a person can read too when no supervisor runs. A thread of its own follows the
logbook as any reader does: if the disk is slow or full, the loop never waits, and what found no room in the
meantime is missing. When the file is full it is written anew from the ring, whose bound keeps every speaker's
lines; so no flood pushes out another's lines here either. There is no fsync: a dying process leaves what it
wrote to the system, and for a dying machine the last lines are not worth the disk's time.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, Literal

import msgspec

from longwire.logbook.book import Logbook
from longwire.logbook.ring import MAX_BYTES, Line, Speaker
from longwire.logger import get_logger

_log = get_logger("longwire.logbook")

LOG: Final = "log.jsonl"
"""The file in the data directory."""

_RETRY_S = 5.0
"""Between attempts to write while the disk takes nothing."""

_CLOSE_S = 1.0
"""How long a stop waits for a disk that does not write."""

_LEVELS = logging.getLevelNamesMapping()


class _Header(msgspec.Struct):
    """What of a line on disk has to be understood."""

    time: Annotated[float, msgspec.Meta(ge=0, lt=1e12)]
    level: str = "info"
    account: str | None = None
    tenant: str | None = None
    source: str | None = None


class LogFile:
    """Follows a logbook and keeps a copy in a file.

    Args:
        book: is followed, and gets what the file holds.
        path: in a folder that exists; only its owner may read it.
        max_bytes: of the file; twice the ring, so that it is written anew once per ring's worth of lines.
    """

    def __init__(self, book: Logbook, path: Path, *, max_bytes: int = 2 * MAX_BYTES) -> None:
        self._book = book
        self._path = path
        self._max_bytes = max_bytes
        self._written = book.began
        self._is_in_trouble = False
        self._may_be_torn = True
        """Whether the file may end in half a line: after a failure, or a process that was killed."""
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="log file", daemon=True)

    async def open(self) -> None:
        """Give the logbook what earlier runs wrote, then follow it."""
        await asyncio.to_thread(self._recall)
        self._thread.start()

    async def close(self) -> None:
        """Write what is left, unless the disk takes too long."""
        self._is_over = True
        self._book.tell()
        await asyncio.to_thread(self._thread.join, _CLOSE_S)

    # In the thread.

    def _run(self) -> None:
        while not self._is_over:
            self._book.wait_for_news(timeout_s=_RETRY_S)
            self._write()
        self._write()

    def _write(self) -> None:
        """Append what is new; say once when that fails, and once when it works again."""
        lines = self._book.behind(self._written)
        if not lines:
            return
        try:
            self._append(lines)
        except OSError as exc:
            if not self._is_in_trouble:
                self._is_in_trouble = True
                _log.warning("log_not_on_disk", error=str(exc))
            return
        self._written = lines[-1].position
        if self._is_in_trouble:
            self._is_in_trouble = False
            _log.info("log_on_disk_again")

    def _append(self, lines: list[Line]) -> None:
        data = _joined(lines)
        with _private(self._path, "ab") as file:
            if self._may_be_torn and file.tell():
                data = b"\n" + data
            self._may_be_torn = True
            is_room = file.tell() + len(data) <= self._max_bytes
            if is_room:
                file.write(data)
        if not is_room:
            self._renew(upto=lines[-1].position)
        self._may_be_torn = False

    def _renew(self, *, upto: int) -> None:
        """Write the file anew, in one step as seen from outside."""
        new = self._path.with_name(f"{self._path.name}.new")
        with _private(new, "wb") as file:
            file.write(_joined([line for line in self._book.behind(0) if line.position <= upto]))
        new.replace(self._path)

    def _recall(self) -> None:
        """Give the logbook what the file holds; what cannot be understood in it is left out."""
        try:
            with self._path.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - self._max_bytes))
                data = file.read(self._max_bytes)
        except FileNotFoundError:
            return
        except OSError as exc:
            _log.warning("log_not_readable", error=str(exc))
            return
        self._book.recall(_parse(data))


def _parse(data: bytes) -> list[tuple[Speaker, Line]]:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    found: dict[int, tuple[Speaker, Line]] = {}  # after a failure some are there twice
    for text in data.split(b"\n"):
        try:
            header = msgspec.convert(decode(text), _Header)
            position = round(header.time * 1_000_000)
        except (ValueError, RecursionError):
            continue
        speaker = Speaker(header.account, header.tenant, is_child=header.source == "child")
        level = _LEVELS.get(header.level.upper(), logging.INFO)
        found[position] = speaker, Line(position, level, text)
    return [found[position] for position in sorted(found)]


def _joined(lines: list[Line]) -> bytes:
    return b"".join([line.text + b"\n" for line in lines])


def _private(path: Path, mode: Literal["ab", "wb"]) -> BinaryIO:
    """Open a file for writing that only its owner may read."""
    flags = os.O_APPEND if mode == "ab" else os.O_TRUNC
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, 0o600), mode)
