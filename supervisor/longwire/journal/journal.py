"""The journal as the rest of the supervisor sees it, on the supervisor's event loop."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import msgspec

from longwire.journal.checksums import Damaged
from longwire.journal.commands import read_ended, read_last_number, read_one, read_open
from longwire.journal.errors import JournalClosed, JournalDamaged, JournalSaturated
from longwire.journal.reader import Reader, read_holdings, read_page, read_states, resolve
from longwire.journal.records import Arrivals, CommandRow, Commit, JournalSettings, Page, Stored
from longwire.journal.retention import Holdings
from longwire.journal.schema import open_for_writing
from longwire.journal.store import Store
from longwire.journal.writer import Batch, Group, Job, Writer
from longwire.logger import get_logger
from longwire_protocol.errors import ConfigError, Problem

T = TypeVar("T")

_log = get_logger("longwire.journal")

_encode = msgspec.msgpack.Encoder().encode

_INCARNATION = "incarnation/"

_READER_CLOSE_S = 0.5
"""How long `close` waits for a query under way; after it the reader ends by itself."""


class Journal:
    """The durable, ordered record of events. All methods are for the event loop that opened it.

    Attributes:
        on_committed: called once per group commit with the new events, in `seq` order, after the batches'
            own `done`. No event of the journal lies between what it is given in one call and the next.
        on_trouble: called with a reason when commits begin to fail (or fail otherwise), with `None` when
            they work again. Nothing is lost meanwhile: what waits is tried again.
    """

    def __init__(
        self,
        path: Path,
        store: Store,
        *,
        incarnations: dict[str, int],
        settings: JournalSettings,
    ) -> None:
        self.on_committed: Callable[[list[Stored]], None] = _ignore
        self.on_trouble: Callable[[str | None], None] = _ignore
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._incarnations = incarnations
        self._head = store.head
        self._removed_to = store.removed_to
        self._damage: JournalDamaged | None = None
        self._trouble: str | None = None
        self._unwritten: deque[Batch] = deque()
        self._unsubmitted: list[Batch] = []
        self._waiting_events = 0
        self._waiting_bytes = 0
        self._is_closing = False
        self._ended: asyncio.Future[bool] = self._loop.create_future()
        self._writer = Writer(store, settings=settings, sink=self, loop=self._loop)
        self._reader = Reader(path, timeout_s=settings.read_timeout_s)

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        settings: JournalSettings | None = None,
        before_commit: Callable[[], None] | None = None,
    ) -> Journal:
        """Open the journal at `path`, or make it; its folder exists already.

        Args:
            path: the database; `-wal` and `-shm` lie beside it.
            settings: bounds and delays; the defaults where absent.
            before_commit: called on the writer's thread with the transaction open, for tests that hold or
                fail a commit.

        Raises:
            ConfigError: the file is damaged, foreign, locked or too new; it was left as it is.
        """
        settings = settings or JournalSettings()
        try:
            async with asyncio.timeout(settings.open_timeout_s):
                store, incarnations = await asyncio.to_thread(_open, path, settings, before_commit)
        except TimeoutError as exc:
            text = f"{path} could not be opened within {settings.open_timeout_s:g} s"
            raise ConfigError([Problem("supervisor.data_dir", text)]) from exc
        return cls(path, store, incarnations=incarnations, settings=settings)

    # Events.

    @property
    def head(self) -> int:
        """The number of the last event that was published to `on_committed`, or was there at opening."""
        return self._head

    @property
    def is_full(self) -> bool:
        """Whether so much waits for the disk that no more is taken; ends with a commit."""
        return (
            self._waiting_events >= self._settings.max_waiting_events
            or self._waiting_bytes >= self._settings.max_waiting_bytes
        )

    @property
    def oldest_wait_s(self) -> float:
        """How long the oldest unwritten batch has waited; 0 if none does. Grows when a disk hangs."""
        return monotonic() - self._unwritten[0].queued_at if self._unwritten else 0.0

    @property
    def trouble(self) -> str | None:
        """Why commits fail at present; `None` if they do not."""
        return self._trouble

    @property
    def removed_to(self) -> int:
        """Every event up to this number was removed, or is being removed; 0 if none was."""
        return self._removed_to

    @property
    def damage(self) -> str | None:
        """What was found damaged since the start and was not removed since; `None` if nothing."""
        return None if self._damage is None else str(self._damage)

    def append(self, arrivals: Arrivals, *, done: Callable[[Commit], None]) -> None:
        """Have the arrivals written; `done` is called when they are on disk, and never if they are not.

        Raises:
            JournalSaturated: `is_full`; nothing was taken.
            JournalClosed: the journal is closing or closed.
        """
        self._refuse_if_closing()
        if self.is_full:
            raise JournalSaturated(f"{self._waiting_events} events wait for the journal's disk")
        self.record(arrivals, done=done)

    def record(self, arrivals: Arrivals, *, done: Callable[[Commit], None]) -> None:
        """As `append` for what must not be refused, because it has happened; the caller bounds how many.

        Raises:
            JournalClosed: the journal is closing or closed.
        """
        self._refuse_if_closing()
        size_bytes = sum([len(event.body) for event in arrivals.events])
        size_bytes += sum([len(row.body) for row in arrivals.commands])
        batch = Batch(arrivals, done, size_bytes, monotonic())
        self._unwritten.append(batch)
        self._waiting_events += len(arrivals.events)
        self._waiting_bytes += size_bytes
        self._unsubmitted.append(batch)
        if len(self._unsubmitted) == 1:
            self._loop.call_soon(self._submit)

    def _submit(self) -> None:
        """Hand over what came in this turn of the loop, together, as waking the thread for each costs more.

        Whatever else is for the thread goes behind it.
        """
        if self._unsubmitted:
            self._writer.submit(self._unsubmitted)
            self._unsubmitted = []

    async def read(self, after_seq: int, *, limit: int, max_bytes: int) -> Page:
        """Return up to `limit` events (at least 1) after `after_seq`, and how far was looked.

        `max_bytes` bounds the bodies together, but a single event is returned whatever its size. An empty
        page means that nothing is committed after `after_seq`.

        Raises:
            JournalDamaged: the events after `after_seq` cannot be read any more; read on behind its `last`.
            JournalUnavailable: the file cannot be read now, or not within `read_timeout_s`.
            JournalSaturated: too many reads wait already.
            JournalClosed: the journal is closing or closed.
        """
        self._refuse_if_closing()
        query = partial(read_page, after_seq=after_seq, limit=max(1, limit), max_bytes=max_bytes)
        try:
            return await self._reader.run(query)
        except JournalDamaged as exc:
            self._damage = exc
            raise

    # Commands.

    async def ended_commands(self, *, since: float) -> list[CommandRow]:
        """Return the commands that ended since this time (Unix seconds), the newest of them, in that order.

        Raises:
            JournalUnavailable, JournalSaturated, JournalClosed: as `read`.
        """
        self._refuse_if_closing()
        return await self._reader.run(partial(read_ended, since=since))

    async def open_commands(self) -> tuple[int, list[CommandRow]]:
        """Return the highest number there is (0 if none), and the commands that have not ended, in order.

        Raises:
            JournalUnavailable, JournalSaturated, JournalClosed: as `read`.
        """
        self._refuse_if_closing()
        return await self._reader.run(lambda found: (read_last_number(found), read_open(found)))

    async def find_command(
        self, *, receipt: str | None = None, scope: bytes | None = None
    ) -> CommandRow | None:
        """Return the durable command with this receipt, or else with this scope; `None` if there is none.

        Raises:
            JournalUnavailable, JournalSaturated, JournalClosed: as `read`.
        """
        self._refuse_if_closing()
        return await self._reader.run(partial(read_one, receipt=receipt, scope=scope))

    # Upkeep. One at a time: `longwire.keeper` is the only caller.

    async def holdings(self) -> Holdings:
        """Return sizes and the oldest rows, for retention.

        Raises:
            JournalUnavailable, JournalSaturated, JournalClosed: as `read`.
        """
        self._refuse_if_closing()
        return await self._reader.run(read_holdings)

    async def remove_through(self, seq: int) -> None:
        """Delete the oldest events up to `seq`, in short steps between commits.

        What was appended or put before is on disk before. Whole rows only: some events may stay until a
        later call.

        Raises:
            JournalUnavailable: the file cannot be written now; some may be removed.
            JournalClosed: the journal is closing or closed.
        """
        self._removed_to = max(seq, self._removed_to)
        while not await self._step(partial(Store.remove_before, seq=seq + 1)):
            pass
        if self._damage is not None and self._damage.last <= self._removed_to:
            self._damage = None

    async def give_back(self, pages: int) -> None:
        """Return up to so many free pages to the file system, in short steps between commits.

        Raises as `remove_through`.
        """
        while pages > 0:
            pages = await self._step(partial(Store.give_back, pages=pages))

    async def _step(self, work: Callable[[Store], T]) -> T:
        self._refuse_if_closing()
        answer: asyncio.Future[T] = self._loop.create_future()
        self._submit()
        self._writer.submit_job(Job(work, answer))
        return await answer

    # Small state.

    def put_state(self, key: str, value: Any) -> None:
        """Have `value` (anything msgspec encodes) written under `key` within `state_linger_s`.

        Values put under one key in quick succession become one write: the last. `None` deletes.
        """
        self.put_states({key: value})

    def put_states(self, states: Mapping[str, Any]) -> None:
        """As `put_state` for several keys: all of them are on disk, or none is."""
        self._refuse_if_closing()
        encoded = {key: None if value is None else _encode(value) for key, value in states.items()}
        self._submit()
        self._writer.put_states(encoded)

    async def save_state(self, key: str, value: Any) -> None:
        """Write `value` under `key` and return when it is on disk; see `save_states`."""
        await self.save_states({key: value})

    async def save_states(self, states: Mapping[str, Any]) -> None:
        """Write the values under their keys, all or none, and return when they are on disk.

        Waits as long as commits fail; bound it with a deadline of your own. A wait given up does not undo
        the write.

        Raises:
            JournalClosed: it was closed before this was written.
        """
        self.put_states(states)
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._writer.save_states(waiter)
        await waiter

    async def get_states(
        self, prefix: str, value_type: type[T], *, after: str = "", max_bytes: int | None = None
    ) -> dict[str, T]:
        """Return what is on disk under keys that begin with `prefix` and come after `after`, ordered by key.

        All of it, or as much as it takes to reach `max_bytes`; nothing if there is no more.

        Raises:
            JournalUnavailable, JournalSaturated, JournalClosed: as `read`.
            msgspec.ValidationError: a value is no `value_type`.
        """
        self._refuse_if_closing()
        found = await self._reader.run(partial(read_states, prefix=prefix, after=after, max_bytes=max_bytes))
        decoder = msgspec.msgpack.Decoder(value_type)
        return {key: decoder.decode(value) for key, value in found.items()}

    async def next_incarnation(self, account: str) -> int:
        """Return a number the account never had before, already on disk; the first is 1.

        Waits and raises as `save_state`.
        """
        number = self._incarnations.get(account, 0) + 1
        self._incarnations[account] = number
        await self.save_state(_INCARNATION + account, number)
        return number

    # The end.

    async def close(self) -> bool:
        """Write what waits, for up to `close_timeout_s`, and close the file.

        Returns:
            Whether everything was written. If not, nobody was told that it was.
        """
        self._is_closing = True
        # The reader first: whoever closes last, and may write, folds the WAL in and removes it.
        await self._reader.close(timeout_s=_READER_CLOSE_S)
        self._submit()
        self._writer.close(timeout_s=self._settings.close_timeout_s)
        try:
            # A second more than the thread itself takes: for its last try and for closing the file.
            async with asyncio.timeout(self._settings.close_timeout_s + 1.0):
                return await asyncio.shield(self._ended)
        except TimeoutError:
            return False

    def _refuse_if_closing(self) -> None:
        if self._is_closing:
            raise JournalClosed("the journal is closed")

    # What the writer found (`longwire.journal.writer.Sink`), on the event loop.

    def committed(self, group: Group) -> None:
        """Tell everybody who waited for the group, then publish its new events."""
        for batch, commit in zip(group.batches, group.commits, strict=True):
            self._unwritten.popleft()
            self._waiting_events -= len(batch.arrivals.events)
            self._waiting_bytes -= batch.size_bytes
            self._call(batch.done, commit)
        for waiter in group.waiters:
            if not waiter.done():
                waiter.set_result(None)
        stored = [event for commit in group.commits for event in commit.stored]
        if stored:
            self._head = stored[-1].seq
            self._call(self.on_committed, stored)

    def troubled(self, reason: str | None) -> None:
        """Pass on that commits fail, or work again."""
        self._trouble = reason
        self._call(self.on_trouble, reason)

    def tended(self, what: str, trouble: str | None) -> None:
        """Say that upkeep fails, or works again."""
        if trouble is None:
            _log.info("journal_upkeep_works_again", what=what)
        else:
            _log.warning("journal_upkeep_fails", what=what, error=trouble)

    def finished(self, answer: asyncio.Future[Any], result: object) -> None:
        """Answer whoever asked for a piece of upkeep."""
        resolve(answer, result)

    def ended(self, *, unsaved: list[asyncio.Future[None]], is_complete: bool) -> None:
        """Refuse those who still wait and let `close` return."""
        for waiter in unsaved:
            if not waiter.done():
                waiter.set_exception(JournalClosed("the journal was closed before this was written"))
        if not self._ended.done():
            self._ended.set_result(is_complete)

    def _call(self, callback: Callable[[T], None], argument: T) -> None:
        """Call somebody else's code; its failure must not keep the others from being told."""
        try:
            callback(argument)
        except Exception as exc:  # noqa: BLE001  # handed to the loop's handler, which logs it
            self._loop.call_exception_handler(
                {"message": "a callback of the journal failed", "exception": exc}
            )


def _open(
    path: Path, settings: JournalSettings, before_commit: Callable[[], None] | None
) -> tuple[Store, dict[str, int]]:
    connection = open_for_writing(path)
    try:
        known = read_states(connection, prefix=_INCARNATION)
        incarnations = {
            key.removeprefix(_INCARNATION): msgspec.msgpack.decode(value, type=int)
            for key, value in known.items()
        }
        return (
            Store(connection, dedup_window_s=settings.dedup_window_s, before_commit=before_commit),
            incarnations,
        )
    except (sqlite3.Error, msgspec.MsgspecError, Damaged) as exc:
        connection.close()
        text = f"{path} cannot be read: {exc}; the file was left as it is"
        raise ConfigError([Problem("supervisor.data_dir", text)]) from exc


def _ignore(_: object) -> None:
    """Nobody listens yet."""
