"""The statements that write the journal: one transaction per group, on whichever one thread owns the store.

Numbers: a group's new events get the numbers after the last stored one. Whoever deletes chunks records the
high-water mark in the same transaction (`remove_before`), so that a number is never given twice.

Upkeep (removing, giving pages back, folding the WAL in) is done in steps between groups, each short enough
for the group that waits meanwhile.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager

from longwire.journal import chunks
from longwire.journal.checksums import seal
from longwire.journal.commands import CommandTable
from longwire.journal.dedup import DedupIndex
from longwire.journal.folding import Fold
from longwire.journal.records import Arrivals, Commit, Stored
from longwire.journal.wal import WalGauge
from longwire_protocol.frames import HandedOver

HEAD = """
SELECT max((SELECT seq FROM high_water),
           coalesce((SELECT last_seq FROM chunks ORDER BY first_seq DESC LIMIT 1), 0))
"""
"""The highest number ever given, as a query."""

STEP_S = 0.004
"""How long a step of upkeep works before it commits; a group that came meanwhile waits for 1 to 2 ms more."""

_CHECKPOINT_FRAMES = 4096  # 32 MiB of WAL: its end stalls commits, so few of them, but each bounded

_STARVED_SHARE = 4
"""How much more often the log is tried to be begun anew while readers keep it from that."""


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
        self._commands = CommandTable(connection)
        self._head = int(connection.execute(HEAD).fetchone()[0])
        left = connection.execute("SELECT removed_to, end_bytes FROM high_water").fetchone()
        newest = chunks.last(connection)
        self._removed_to = int(left[0])
        self._end_bytes = max(int(left[1]), (newest and newest.end_bytes) or 0)
        self._wal = WalGauge(connection)
        self._fold: Fold | None = None
        self.on_folded: Callable[[], None] = lambda: None
        """Called on another thread when `is_checkpoint_due` has become true without a commit."""
        self._checkpoint_at = 0  # at once: the file is to say that a log follows

    @property
    def removed_to(self) -> int:
        """Every event up to this number was removed."""
        return self._removed_to

    @property
    def is_checkpoint_due(self) -> bool:
        """Whether `checkpoint` should follow, because the WAL grows without it."""
        slack = 0 if self._fold is None else _CHECKPOINT_FRAMES
        return self.is_fold_to_end or self._wal.frames >= self._checkpoint_at + slack

    @property
    def is_fold_to_end(self) -> bool:
        """Whether `checkpoint` should follow now, even if nothing is committed."""
        return self._fold is not None and self._fold.is_done

    @property
    def head(self) -> int:
        """The highest number ever given to an event; 0 before the first."""
        return self._head

    @property
    def is_seal_due(self) -> bool:
        """Whether `seal` should follow, because what deduplication keeps in memory grows without it."""
        return self._dedup.is_seal_due

    def commit(self, arrivals: Sequence[Arrivals], *, states: Mapping[str, bytes | None]) -> list[Commit]:
        """Write what is new of the arrivals, and the states (`None` deletes), in one transaction.

        Returns:
            What became of each of the arrivals.
        """
        now = self._wall_clock()
        with self._transaction():
            admission = self._dedup.admit(arrivals, first_seq=self._head + 1, now=now)
            commits = _number(arrivals, admission.duplicates, last_seq=self._head)
            stored = [event for commit in commits for event in commit.stored]
            end_bytes = chunks.insert(self._connection, stored, now=now, end_bytes=self._end_bytes)
            self._put_states(states)
            commits = self._commands.write(arrivals, commits, now=now)
            if self._before_commit is not None:
                self._before_commit()
        self._dedup.remember(admission)
        self._commands.written()
        if stored:
            self._head = stored[-1].seq
            self._end_bytes = end_bytes
        return commits

    def seal(self) -> None:
        """Put the keys of the newest events in order, and forget those older than the window (`dedup.py`)."""
        with self._transaction():
            self._dedup.seal(now=self._wall_clock())
        self._dedup.sealed()

    def remove_before(self, seq: int, *, within_s: float = STEP_S) -> bool:
        """Delete the oldest events below `seq`, whole chunks only, for about so long.

        Returns:
            Whether nothing is left to remove below `seq`; if not, call it again.
        """
        until = time.monotonic() + within_s
        removed: chunks.Extent | None = None
        is_done = False
        with self._transaction():
            while time.monotonic() < until:
                oldest = chunks.oldest(self._connection)
                if oldest is None or oldest.last_seq >= seq:
                    is_done = True
                    break
                self._connection.execute("DELETE FROM chunks WHERE first_seq <= ?", (oldest.last_seq,))
                removed = oldest
            if removed is not None:
                self._connection.execute(
                    """
                    UPDATE high_water SET seq = max(seq, ?), end_bytes = ?, removed_to = ?, removed_bytes = ?
                    """,
                    (self._head, self._end_bytes, *removed),
                )
        if removed is not None:
            self._removed_to = removed.last_seq
        return is_done

    def give_back(self, pages: int, *, within_s: float = STEP_S) -> int:
        """Return up to so many free pages to the file system, for about so long; return how many are left."""
        until = time.monotonic() + within_s
        with self._transaction():
            while pages > 0 and time.monotonic() < until:
                # A page at a time: of a statement without columns, `execute` takes one step, which is a page.
                self._connection.execute("PRAGMA incremental_vacuum(1)")
                pages -= 1
        return pages

    def checkpoint(self) -> None:
        """Begin to fold the WAL into the file, or end that and begin it anew, as far as readers let it."""
        if self._fold is None:
            self._mark(is_whole=False)
            is_short = not self._checkpoint_at  # the first one
            if not is_short and not self._is_starved:
                self._fold = Fold(self._wal, on_done=self.on_folded)
                return
        self._await_fold()
        try:
            mode = "RESTART" if self._is_starved else "PASSIVE"
            self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        finally:
            self._mark(is_whole=True)
            share = _STARVED_SHARE if self._is_starved else 1
            self._checkpoint_at = self._wal.frames + _CHECKPOINT_FRAMES // share

    def checkpoint_and_close(self) -> None:
        """Fold the WAL into the file, if nobody holds it, and close."""
        self._await_fold()
        try:
            self._mark(is_whole=True)
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            self._connection.close()
            self._wal.close()

    @property
    def _is_starved(self) -> bool:
        """Whether readers that follow each other closely keep the log from beginning anew.

        Then a gap between them is waited for, for up to `BUSY_TIMEOUT_S`.
        """
        return self._wal.frames > 2 * _CHECKPOINT_FRAMES

    def _await_fold(self) -> None:
        """Wait for what was begun; where that is slower than the commits, the log would grow without end."""
        if self._fold is not None:
            self._fold.wait()
            self._fold = None

    def _mark(self, *, is_whole: bool) -> None:
        self._connection.execute(
            """
            UPDATE high_water SET is_whole = ?, newest_seq =
                coalesce((SELECT last_seq FROM chunks ORDER BY first_seq DESC LIMIT 1), 0)
            """,
            (is_whole,),
        )

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

    def _put_states(self, states: Mapping[str, bytes | None]) -> None:
        for key, value in states.items():
            if value is None:
                self._connection.execute("DELETE FROM state WHERE key = ?", (key,))
            else:
                self._connection.execute(
                    "INSERT OR REPLACE INTO state VALUES (?, ?)", (key, seal(key, value))
                )


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
