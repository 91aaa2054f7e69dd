"""The statements that write the journal: one transaction per group, on whichever one thread owns the store.

Numbers: a group's new events get the numbers after the last stored one. Whoever deletes chunks records the
high-water mark in the same transaction (`remove_before`), so that a number is never given twice.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from longwire.journal.dedup import DedupIndex
from longwire.journal.records import Arrivals, Commit, Stored
from longwire_protocol.frames import HandedOver

CHUNK_EVENTS = 256
"""Most events of one row; a reader decodes a whole row to get one event of it."""

CHUNK_BYTES = 1024 * 1024
"""A row over this many bytes of bodies is ended, so it may be larger by one event."""

HEAD = """
SELECT max((SELECT seq FROM high_water),
           coalesce((SELECT last_seq FROM chunks ORDER BY first_seq DESC LIMIT 1), 0))
"""
"""The highest number ever given, as a query."""

_encode = msgspec.msgpack.Encoder().encode


class Store:
    """The journal's tables. Every method may raise `sqlite3.Error`, and then nothing was changed."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        dedup_window_s: float,
        before_commit: Callable[[], None] | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._connection = connection
        self._before_commit = before_commit
        self._wall_clock = wall_clock
        self._dedup = DedupIndex(connection, window_s=dedup_window_s)
        self._head = int(connection.execute(HEAD).fetchone()[0])

    @property
    def head(self) -> int:
        """The highest number ever given to an event; 0 before the first."""
        return self._head

    @property
    def is_seal_due(self) -> bool:
        """Whether `seal` should follow, because what deduplication keeps in memory grows without it."""
        return self._dedup.is_seal_due

    def commit(self, arrivals: Sequence[Arrivals], *, states: Mapping[str, bytes | None]) -> list[Commit]:
        """Write the arrivals that are new, and the states (`None` deletes), in one transaction.

        Returns:
            What became of each of the arrivals.
        """
        now = self._wall_clock()
        with self._transaction():
            admission = self._dedup.admit(arrivals, first_seq=self._head + 1, now=now)
            commits = _number(arrivals, admission.duplicates, last_seq=self._head)
            stored = [event for commit in commits for event in commit.stored]
            self._insert(stored, now=now)
            self._put_states(states)
            if self._before_commit is not None:
                self._before_commit()
        self._dedup.remember(admission)
        if stored:
            self._head = stored[-1].seq
        return commits

    def seal(self) -> None:
        """Put the keys of the newest events in order, and forget those older than the window (`dedup.py`)."""
        with self._transaction():
            self._dedup.seal(now=self._wall_clock())
        self._dedup.sealed()

    def remove_before(self, seq: int) -> None:
        """Delete events below `seq`, whole chunks only: some may stay until a later call."""
        with self._transaction():
            self._connection.execute("UPDATE high_water SET seq = max(seq, ?)", (self._head,))
            self._connection.execute("DELETE FROM chunks WHERE last_seq < ?", (seq,))

    def checkpoint_and_close(self) -> None:
        """Fold the WAL into the file, if nobody holds it, and close."""
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            # After some failures (disk full, I/O) SQLite has rolled back by itself.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _insert(self, stored: list[Stored], *, now: float) -> None:
        for chunk in _chunks(stored):
            self._connection.execute(
                "INSERT INTO chunks VALUES (?, ?, ?, ?)", (chunk[0].seq, chunk[-1].seq, now, _encode(chunk))
            )

    def _put_states(self, states: Mapping[str, bytes | None]) -> None:
        for key, value in states.items():
            if value is None:
                self._connection.execute("DELETE FROM state WHERE key = ?", (key,))
            else:
                self._connection.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (key, value))


def _number(arrivals: Sequence[Arrivals], duplicates: frozenset[int], *, last_seq: int) -> list[Commit]:
    """Give each arrival its number; the indexes `duplicates` run through all arrivals."""
    commits: list[Commit] = []
    begin = 0
    for batch in arrivals:
        events, known = batch.events, list[HandedOver]()
        if duplicates:
            known = [event for n, event in enumerate(events, begin) if n in duplicates]
            events = [event for n, event in enumerate(events, begin) if n not in duplicates]
        begin += len(batch.events)
        account, tenant = batch.account, batch.tenant
        stored = [
            Stored(seq, account, tenant, event.type, event.chat, event.recv_time, event.body)
            for seq, event in enumerate(events, last_seq + 1)
        ]
        last_seq += len(stored)
        commits.append(Commit(stored, known))
    return commits


def _chunks(stored: list[Stored]) -> Iterator[list[Stored]]:
    """Cut the events into rows of at most `CHUNK_EVENTS`, each ended once it is over `CHUNK_BYTES`."""
    start = size = 0
    for end, event in enumerate(stored, 1):
        size += len(event.body)
        if end - start == CHUNK_EVENTS or size > CHUNK_BYTES:
            yield stored[start:end]
            start, size = end, 0
    if start < len(stored):
        yield stored[start:]
