"""The one thread that writes the journal.

It takes everything that waits into one transaction, so a commit's fsync is shared by all who came while
the one before was under way. What it could not write it keeps and tries again until it can or is closed:
another process that holds the database's lock makes events late, and so does a full disk, never lost.

Its findings reach the event loop as one call per group.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, Protocol

import msgspec

from longwire.journal.errors import JournalUnavailable
from longwire.journal.records import Arrivals, Commit, JournalSettings
from longwire.journal.store import Store


class Batch(msgspec.Struct, frozen=True, eq=False):
    """Arrivals, and who wants to know when they are on disk."""

    arrivals: Arrivals
    done: Callable[[Commit], None]
    size_bytes: int
    queued_at: float
    """On the monotonic clock."""


class Job(msgspec.Struct, frozen=True, eq=False):
    """A short piece of upkeep."""

    work: Callable[[Store], Any]
    answer: asyncio.Future[Any]
    """Gets what `work` returns, or `JournalUnavailable`; touched on the event loop only."""


class Group(msgspec.Struct, eq=False):
    """What one transaction writes, and what became of it."""

    batches: list[Batch]
    states: dict[str, bytes | None]
    waiters: list[asyncio.Future[None]]
    """Resolved once the states are on disk; touched on the event loop only."""
    job: Job | None = None
    """To be done after the rest."""
    commits: list[Commit] = []
    """One per batch."""

    @property
    def is_worth_a_commit(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.batches or self.states or self.waiters)


class Sink(Protocol):
    """Where the writer's findings go; called on the event loop, in the order in which things happened."""

    def committed(self, group: Group) -> None:
        """The group is on disk."""

    def troubled(self, reason: str | None) -> None:
        """Commits fail, for this reason; or, with `None`, they work again."""

    def tended(self, what: str, trouble: str | None) -> None:
        """A piece of upkeep that is due by itself fails, for this reason; or, with `None`, works again."""

    def finished(self, answer: asyncio.Future[Any], result: object) -> None:
        """A piece of upkeep returned this, or failed with this."""

    def ended(self, *, unsaved: list[asyncio.Future[None]], is_complete: bool) -> None:
        """The thread is done; `unsaved` wait in vain, `is_complete` tells whether all was written."""


class Writer:
    """The writing thread and what waits for it. Methods are for the event loop's thread."""

    def __init__(
        self, store: Store, *, settings: JournalSettings, sink: Sink, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._store = store
        self._settings = settings
        self._sink = sink
        self._loop = loop
        self._wake = threading.Condition()
        store.on_folded = self._folded
        # All of these are guarded by `_wake`.
        self._batches: list[Batch] = []
        self._states: dict[str, bytes | None] = {}
        self._states_due_at: float | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._job: Job | None = None
        self._close_by: float | None = None
        # Only on the writer's thread.
        self._reason: str | None = None
        self._untidy: dict[str, tuple[str, float]] = {}  # what failed: why, and when to try again
        self._thread = threading.Thread(target=self._run, name="longwire-journal-writer", daemon=True)
        self._thread.start()

    def submit(self, batches: Sequence[Batch]) -> None:
        """Have the batches written with the next commit."""
        with self._wake:
            self._batches.extend(batches)
            self._wake.notify()

    def put_states(self, states: Mapping[str, bytes | None]) -> None:
        """Have the states written in one commit, the next, which comes within `state_linger_s`."""
        with self._wake:
            self._states.update(states)
            if self._states_due_at is None:
                self._states_due_at = monotonic() + self._settings.state_linger_s
                self._wake.notify()

    def save_states(self, waiter: asyncio.Future[None]) -> None:
        """Have all states that wait written now, and then `waiter` resolved."""
        with self._wake:
            self._waiters.append(waiter)
            self._wake.notify()

    def submit_job(self, job: Job) -> None:
        """Have a piece of upkeep done, behind all that waits now; only one may wait at a time."""
        with self._wake:
            self._job = job
            self._wake.notify()

    def close(self, *, timeout_s: float) -> None:
        """Have what waits written, tried for so long, and the thread end. Returns at once."""
        with self._wake:
            self._close_by = monotonic() + timeout_s
            self._wake.notify()

    def _folded(self) -> None:
        """Most of a checkpoint is done, and its end is to follow; on that thread."""
        with self._wake:
            self._wake.notify()

    # From here on: the writer's own thread.

    def _run(self) -> None:
        try:
            unsaved = self._write_all()
        except BaseException as exc:
            self._report(f"the journal's writer died: {exc!r}")
            raise
        self._tidy("close", self._store.checkpoint_and_close)
        self._post(lambda: self._sink.ended(unsaved=unsaved or [], is_complete=unsaved is None))

    def _write_all(self) -> list[asyncio.Future[None]] | None:
        """Write until closed; `None` if nothing is left, else those who waited for what is."""
        while (group := self._take()) is not None:
            job = [] if group.job is None else [group.job.answer]
            if group.is_worth_a_commit and not self._write(group):
                with self._wake:
                    return [*group.waiters, *self._waiters, *job]
            if group.job is not None:
                self._do(group.job)
            if self._store.is_seal_due:
                self._tidy("seal", self._store.seal)
            if self._store.is_checkpoint_due:
                self._tidy("checkpoint", self._store.checkpoint)
        return None

    def _do(self, job: Job) -> None:
        result: object
        try:
            result = job.work(self._store)
        except sqlite3.Error as exc:
            result = JournalUnavailable(f"the journal's upkeep failed: {exc}")
            result.__cause__ = exc
        self._post(lambda: self._sink.finished(job.answer, result))

    def _take(self) -> Group | None:
        """Wait for something to write and take all of it; `None` when closing and nothing is left."""
        with self._wake:
            while not self._is_due():
                if self._close_by is not None:
                    return None
                due_at = self._states_due_at
                self._wake.wait(None if due_at is None else max(0.0, due_at - monotonic()))
            group = Group(self._batches, self._states, self._waiters, self._job)
            self._batches, self._states, self._waiters, self._job = [], {}, [], None
            self._states_due_at = None
            return group

    def _is_due(self) -> bool:
        if self._batches or self._waiters or self._job is not None or self._store.is_fold_to_end:
            return True
        if self._states_due_at is None:
            return False
        return self._close_by is not None or monotonic() >= self._states_due_at

    def _write(self, group: Group) -> bool:
        """Write the group, trying until it succeeds; false if the journal was closed before."""
        arrivals = [batch.arrivals for batch in group.batches]
        delay_s = self._settings.retry_initial_s
        while True:
            try:
                group.commits = self._store.commit(arrivals, states=group.states)
            except Exception as exc:  # noqa: BLE001  # the thread's edge: reported, kept and tried again
                self._report(f"commits fail: {exc}")
                if not self._sleep(delay_s):
                    return False
                delay_s = self._next_delay(delay_s, exc)
                continue
            self._report(None)
            self._post(lambda: self._sink.committed(group))
            return True

    def _next_delay(self, delay_s: float, exc: Exception) -> float:
        """A lock of another process is asked for steadily, as trying costs nothing; a sick disk is spared."""
        code: int = getattr(exc, "sqlite_errorcode", 0)
        if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return self._settings.retry_initial_s
        return min(2 * delay_s, self._settings.retry_max_s)

    def _sleep(self, delay_s: float) -> bool:
        """Wait before the next try, or shorter when `close` comes; false if its deadline has passed."""
        until = monotonic() + delay_s
        with self._wake:
            while (now := monotonic()) < until:
                if self._close_by is not None:
                    if now >= self._close_by:
                        return False
                    until = min(until, now + self._settings.retry_initial_s, self._close_by)
                self._wake.wait(until - now)
            return self._close_by is None or monotonic() < self._close_by

    def _report(self, reason: str | None) -> None:
        if reason != self._reason:
            self._reason = reason
            self._post(lambda: self._sink.troubled(reason))

    def _tidy(self, what: str, work: Callable[[], None]) -> None:
        """Do what may as well be done later; where it failed, not before `retry_max_s` have passed.

        A seal is due until it succeeds, a WAL is folded in at the next open. Meanwhile both grow.
        """
        before, retry_at = self._untidy.get(what, (None, 0.0))
        if monotonic() < retry_at:
            return
        trouble: str | None = None
        try:
            work()
            self._untidy.pop(what, None)
        except sqlite3.Error as exc:
            trouble = str(exc)
            self._untidy[what] = (trouble, monotonic() + self._settings.retry_max_s)
        if trouble != before:
            self._post(lambda: self._sink.tended(what, trouble))

    def _post(self, call: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            # The loop is closed: its program ended without closing the journal, and nobody listens.
            return
