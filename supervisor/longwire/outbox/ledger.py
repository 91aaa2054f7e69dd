"""The journal as the outbox uses it: commands as they are, and the event of each that has ended."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from longwire.journal import Arrivals, Commit, EventStore, JournalClosed
from longwire.logger import get_logger
from longwire.outbox.command import MOST_KEPT_BYTES, Command, from_row, to_row, without_excess
from longwire.outbox.entry import Entry
from longwire.outbox.report import report

_log = get_logger("longwire.outbox")

SLOW_COMMIT_S: Final = 0.1
"""A journal whose oldest write waits longer is not well."""


class Ledger:
    """Writes commands down, and finds those that have ended."""

    def __init__(self, journal: EventStore) -> None:
        self._journal = journal
        self._random = random.Random()  # noqa: S311  # unique, not secret; a system call lets the writer in

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another one at present."""
        return self._journal.is_full

    @property
    def is_well(self) -> bool:
        """Whether what is written is on disk soon."""
        return self._journal.trouble is None and self._journal.oldest_wait_s <= SLOW_COMMIT_S

    def new_id(self) -> str:
        """Return what is nobody else's."""
        return self._random.randbytes(16).hex()

    async def open_commands(self) -> tuple[int, list[tuple[Command, int]]]:
        """Return the last number given, and who has not ended, with its bytes on disk.

        Raises as the following: JournalError, where the journal cannot be read now.
        """
        number, rows = await self._journal.open_commands()
        return number, [(from_row(row), len(row.body)) for row in rows]

    async def ended_since(self, since: float) -> list[Command]:
        """Return the newest that ended after a time in Unix seconds."""
        return [from_row(row) for row in await self._journal.ended_commands(since=since)]

    async def of_scope(self, scope: bytes | None) -> Entry | None:
        """Return the one with this scope, which has ended: what has not is in memory."""
        row = None if scope is None else await self._journal.find_command(scope=scope)
        if row is None:
            return None
        entry = Entry(from_row(row))
        entry.accepted.set_result(None)
        entry.settle()
        return entry

    async def of_receipt(self, receipt: str) -> Command | None:
        """Return the one with this receipt."""
        row = await self._journal.find_command(receipt=receipt)
        return None if row is None else from_row(row)

    def write(self, entry: Entry, *, done: Callable[[Commit], None]) -> None:
        """Have the command written as it is now, its end with the event of that; `done`: it is on disk."""
        entry.is_written = True
        command = entry.command

        def written(commit: Commit) -> None:
            entry.last = command
            done(commit)

        kept, row = command, to_row(command)
        if len(row.body) > MOST_KEPT_BYTES:
            kept = without_excess(command)
            row = to_row(kept)
        events = [report(kept, event_id=self.new_id())] if kept.has_ended else []
        arrivals = Arrivals(command.account, command.tenant, events, (row,))
        try:
            self._journal.record(arrivals, done=written)
        except JournalClosed:
            _log.warning("command_left_as_it_is_on_disk", account=command.account, receipt=command.receipt)


def weigh(command: Command) -> int:
    """Return its bytes on disk.

    Raises:
        RecursionError: it is nested too deep to be written, which is found here as deep in the stack.
    """
    return len(to_row(command).body)
