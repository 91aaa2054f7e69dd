"""The one thread that reads the journal, on a read-only connection of its own.

WAL lets it read while the writer commits. Requests wait in a bounded queue; each is answered through a
future of the event loop that asked.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from longwire.journal.errors import JournalClosed, JournalSaturated, JournalUnavailable
from longwire.journal.records import Page, Stored
from longwire.journal.schema import open_for_reading
from longwire.journal.store import HEAD

T = TypeVar("T")

_MAX_WAITING = 1024  # requests; each reading subscription has one at a time

_decode_chunk = msgspec.msgpack.Decoder(list[Stored]).decode

_CHUNKS_AFTER = """
SELECT events FROM chunks
WHERE first_seq >= coalesce((SELECT max(first_seq) FROM chunks WHERE first_seq <= :after + 1), 0)
ORDER BY first_seq
"""

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
            _resolve(job[1], JournalClosed("the journal was closed before this was read"))

    # From here on: the reader's own thread.

    def _serve(self) -> None:
        connection: sqlite3.Connection | None = None
        while (job := self._jobs.get()) is not None:
            result: object
            try:
                # Opened late and on this thread: a failure is the request's, and the next one tries again.
                connection = connection or open_for_reading(self._path)
                result = job[0](connection)
            except Exception as exc:  # noqa: BLE001  # the thread's edge: the asker gets it
                result = JournalUnavailable(f"{self._path} cannot be read: {exc}")
                result.__cause__ = exc
            self._post(job[1], result)
        if connection is not None:
            connection.close()
        self._post(self._ended, None)

    def _post(self, answer: asyncio.Future[Any], result: object) -> None:
        try:
            self._loop.call_soon_threadsafe(_resolve, answer, result)
        except RuntimeError:
            # The loop is closed: its program ended without closing the journal, and nobody waits any more.
            return


def _resolve(answer: asyncio.Future[Any], result: object) -> None:
    if answer.done():
        return  # whoever asked has given up
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)


def read_page(connection: sqlite3.Connection, *, after_seq: int, limit: int, max_bytes: int) -> Page:
    """Return up to `limit` events after `after_seq`; at least one if there is one, then up to `max_bytes`."""
    # The head first: what is committed between the two queries is then read, never skipped.
    head = int(connection.execute(HEAD).fetchone()[0])
    events: list[Stored] = []
    size = 0
    rows = connection.execute(_CHUNKS_AFTER, {"after": after_seq})
    try:
        for (blob,) in rows:
            for event in _decode_chunk(blob):
                if event.seq <= after_seq:
                    continue
                size += len(event.body)
                if len(events) == limit or (events and size > max_bytes):
                    return Page(events, events[-1].seq if events else after_seq)
                events.append(event)
    finally:
        rows.close()
    return Page(events, max(head, after_seq, events[-1].seq if events else 0))


def read_states(connection: sqlite3.Connection, *, prefix: str) -> dict[str, bytes]:
    """Return every state whose key begins with `prefix`, ordered by key."""
    rows = connection.execute(
        "SELECT key, value FROM state WHERE substr(key, 1, length(:prefix)) = :prefix ORDER BY key",
        {"prefix": prefix},
    )
    return {key: bytes(value) for key, value in rows}
