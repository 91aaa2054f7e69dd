"""The one thread that reads the journal, on a read-only connection of its own.

WAL lets it read while the writer commits. Requests wait in a bounded queue; each is answered through a
future of the event loop that asked.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from longwire.journal import chunks
from longwire.journal.checksums import Damaged, unseal
from longwire.journal.chunks import Chunk
from longwire.journal.errors import (
    JournalClosed,
    JournalDamaged,
    JournalError,
    JournalSaturated,
    JournalUnavailable,
)
from longwire.journal.records import Page, Stored
from longwire.journal.retention import Holdings, Row
from longwire.journal.schema import open_for_reading
from longwire.journal.store import HEAD

T = TypeVar("T")

_MAX_WAITING = 1024  # requests; each reading subscription has one at a time

_CHUNKS_AFTER = f"""
SELECT {chunks.COLUMNS} FROM chunks
WHERE first_seq >= coalesce((SELECT max(first_seq) FROM chunks WHERE first_seq <= :after + 1), 0)
ORDER BY first_seq
"""  # noqa: S608  # a constant

_BEFORE = "SELECT first_seq, end_bytes FROM chunks WHERE first_seq <= ? ORDER BY first_seq DESC LIMIT 1"

_REMOVED = "SELECT removed_to, removed_bytes FROM high_water"

_LOOK_ROWS = 4096  # rows of retention's look at the oldest: 5 ms, measured

_Job = tuple[Callable[[sqlite3.Connection], Any], "asyncio.Future[Any]"]


class Reader:
    """Runs queries on its thread for the event loop that made it."""

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.Queue[_Job | None] = queue.Queue(_MAX_WAITING)
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._is_closed = False
        self._thread = threading.Thread(target=self._serve, name="longwire-journal-reader", daemon=True)
        self._thread.start()

    async def run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `query` returns on the reader's thread.

        Raises:
            JournalUnavailable: the file cannot be read, or not in time.
            JournalSaturated: too many reads wait.
            JournalClosed: `close` was called.
        """
        if self._is_closed:
            raise JournalClosed("the journal is closed")
        answer: asyncio.Future[T] = self._loop.create_future()
        try:
            self._jobs.put_nowait((query, answer))
        except queue.Full as exc:
            raise JournalSaturated(f"{_MAX_WAITING} reads of the journal wait already") from exc
        try:
            async with asyncio.timeout(self._timeout_s):
                return await answer
        except TimeoutError as exc:
            text = f"{self._path}: no answer from the journal's disk within {self._timeout_s:g} s"
            raise JournalUnavailable(text) from exc

    async def close(self, *, timeout_s: float) -> None:
        """Answer what still waits with `JournalClosed`, and wait so long for the thread to end."""
        if not self._is_closed:
            self._is_closed = True
            while (
                not self._jobs.empty()
            ):  # its only other consumer is the thread, which takes one more at most
                self._drop_one()
            self._jobs.put_nowait(None)
        await asyncio.wait([self._ended], timeout=timeout_s)

    def _drop_one(self) -> None:
        try:
            job = self._jobs.get_nowait()
        except queue.Empty:
            return
        if job is not None:
            resolve(job[1], JournalClosed("the journal was closed before this was read"))

    # From here on: the reader's own thread.

    def _serve(self) -> None:
        connection: sqlite3.Connection | None = None
        while (job := self._jobs.get()) is not None:
            result: object
            try:
                # Opened late and on this thread: a failure is the request's, and the next one tries again.
                connection = connection or open_for_reading(self._path)
                result = job[0](connection)
            except JournalError as exc:
                result = exc
            except Exception as exc:  # noqa: BLE001  # the thread's edge: the asker gets it
                result = JournalUnavailable(f"{self._path} cannot be read: {exc}")
                result.__cause__ = exc
            self._post(job[1], result)
        if connection is not None:
            connection.close()
        self._post(self._ended, None)

    def _post(self, answer: asyncio.Future[Any], result: object) -> None:
        try:
            self._loop.call_soon_threadsafe(resolve, answer, result)
        except RuntimeError:
            # The loop is closed: its program ended without closing the journal, and nobody waits any more.
            return


def resolve(answer: asyncio.Future[Any], result: object) -> None:
    """Answer a future with a result, or with the exception that it is."""
    if answer.done():
        return  # whoever asked has given up
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)


def read_page(connection: sqlite3.Connection, *, after_seq: int, limit: int, max_bytes: int) -> Page:
    """Return up to `limit` events after `after_seq`; at least one if there is one, then up to `max_bytes`.

    Raises:
        JournalDamaged: the next events cannot be read; what lies behind them can.
        sqlite3.Error: the file cannot be read now.
    """
    with _snapshot(connection):
        return _read_page(connection, after_seq, limit=limit, max_bytes=max_bytes)


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Generator[None]:
    """Let all queries see the same: what is removed between two of them would look like a hole."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _read_page(connection: sqlite3.Connection, after_seq: int, *, limit: int, max_bytes: int) -> Page:
    head = read_head(connection)
    events: list[Stored] = []
    size = 0
    found = _events_after(connection, after_seq)
    try:
        for event in found:
            size += len(event.body)
            if len(events) == limit or (events and size > max_bytes):
                return Page(events, events[-1].seq)
            events.append(event)
    except (Damaged, sqlite3.Error) as exc:
        if not chunks.is_damage(exc):
            raise
        if events:
            return Page(events, events[-1].seq)
        behind = chunks.next_whole(connection, after_seq, head=head)
        if behind is not None and behind.first_seq == after_seq + 1:
            # It can be found, only not by going on from the row before.
            events = chunks.decode(behind)[:limit]
            return Page(events, events[-1].seq)
        raise JournalDamaged(after_seq + 1, head if behind is None else behind.first_seq - 1) from exc
    finally:
        found.close()
    return Page(events, max(head, after_seq, events[-1].seq if events else 0))


def _events_after(connection: sqlite3.Connection, after_seq: int) -> Generator[Stored]:
    """Give the events one after the other; raise `Damaged` where they end too early."""
    known, position, end_bytes = _row_before(connection, after_seq)
    with closing(connection.execute(_CHUNKS_AFTER, {"after": after_seq})) as rows:
        for row in rows:
            chunk = Chunk(*row)
            if chunk.first_seq != known:
                _refuse_hole(chunk, position=position, end_bytes=end_bytes)
            for event in chunks.decode(chunk):
                if event.seq > after_seq:
                    yield event
            known, position, end_bytes = chunk.first_seq, chunk.last_seq, chunk.end_bytes


def _row_before(connection: sqlite3.Connection, after_seq: int) -> tuple[int | None, int, int | None]:
    """Return the row that `after_seq` is in or behind: its first number, where in it, its end in bytes.

    It need not be whole itself. If there is none, what was removed takes its place.
    """
    try:
        found = connection.execute(_BEFORE, (after_seq,)).fetchone()
        if found is not None:
            return found[0], after_seq, found[1]
        removed_to, removed_bytes = connection.execute(_REMOVED).fetchone()
    except sqlite3.Error as exc:
        if not chunks.is_damage(exc):
            raise
        return None, after_seq, None
    return None, max(after_seq, removed_to), removed_bytes


def _refuse_hole(chunk: Chunk, *, position: int, end_bytes: int | None) -> None:
    """Raise `Damaged` if there was a row between `position` and this one."""
    is_known = end_bytes is not None and chunk.start_bytes is not None
    if is_known and chunk.start_bytes != end_bytes and chunk.first_seq > position + 1:
        raise Damaged(f"a row before event {chunk.first_seq} is gone")


def read_head(connection: sqlite3.Connection) -> int:
    """Return the highest number ever given."""
    return int(connection.execute(HEAD).fetchone()[0])


def read_holdings(connection: sqlite3.Connection) -> Holdings:
    """Return what retention decides by: sizes, and the oldest rows."""
    found = connection.execute(
        "SELECT first_seq, last_seq, committed_at, length(events) FROM chunks ORDER BY first_seq LIMIT ?",
        (_LOOK_ROWS,),
    ).fetchall()
    following = [row[0] for row in found[1:]] + [read_head(connection) + 1]
    rows = [
        Row(chunks.bounded(first, last, behind), committed_at, size)
        for (first, last, committed_at, size), behind in zip(found, following, strict=False)
    ]
    page_bytes, pages, free, can_shrink = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_size", "page_count", "freelist_count", "auto_vacuum")
    )
    used_bytes = (pages - free) * page_bytes
    return Holdings(
        rows=rows,
        event_bytes=_event_bytes(connection, used_bytes),
        used_bytes=used_bytes,
        free_pages=free if can_shrink else 0,
        pages=pages,
    )


def _event_bytes(connection: sqlite3.Connection, used_bytes: int) -> int:
    """Return the bytes of all rows of events; for rows of schema 1, which do not tell, those of the file."""
    oldest = connection.execute(
        "SELECT end_bytes - length(events) FROM chunks ORDER BY first_seq LIMIT 1"
    ).fetchone()
    newest = connection.execute("SELECT end_bytes FROM chunks ORDER BY first_seq DESC LIMIT 1").fetchone()
    if oldest is None:
        return 0
    return used_bytes if oldest[0] is None else int(newest[0] - oldest[0])


def read_states(
    connection: sqlite3.Connection, *, prefix: str, after: str = "", max_bytes: int | None = None
) -> dict[str, bytes]:
    """Return the states whose keys begin with `prefix` and come after `after`, ordered by key.

    All of them, or as many as it takes to reach `max_bytes`.

    Raises:
        Damaged: one is not what was stored.
    """
    rows = connection.execute(
        "SELECT key, value FROM state WHERE key > :after AND substr(key, 1, length(:prefix)) = :prefix"
        " ORDER BY key",
        {"prefix": prefix, "after": after},
    )
    found: dict[str, bytes] = {}
    size = 0
    with closing(rows):
        for key, value in rows:
            found[key] = unseal(key, value)
            size += len(value)
            if max_bytes is not None and size >= max_bytes:
                break
    return found
