"""The table of commands: those that were accepted, and for a day what became of them.

What is forgotten goes with commits that come anyway, a bounded number each, so that no commit waits long for
it: those that ended a day ago, and above `MOST` the oldest of those that have ended.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

import msgspec

from longwire.journal.checksums import seal, unseal
from longwire.journal.records import Arrivals, CommandRow, Commit

KEPT_S = 24 * 3600.0
"""How long an ended command is kept: as long as an idempotency key counts."""

MOST = 2_500_000
"""Rows; above it the oldest that have ended go before their time. At 100,000 commands an hour that is a day,
and 1.4 GB of disk (550 bytes each, measured)."""

_SLICE = 200
"""Rows forgotten by one commit at most, beyond as many as it adds: 1 ms."""

MOST_ENDED = 2_000
"""Rows that are read of those that ended lately: what Lark takes of two apps in a minute."""

_LOOK_S = 1.0
"""Commits of events look this often for what is to be forgotten; 100,000 events/s are hundreds of commits."""

_COLUMNS = "number, receipt, scope, ended_at, body"

_FORGET = """
DELETE FROM commands WHERE number IN
    (SELECT number FROM commands WHERE ended_at < ? ORDER BY ended_at, number LIMIT ?)
"""


class CommandTable:
    """Writes commands, on the journal's writer thread and within its transactions."""

    def __init__(self, connection: sqlite3.Connection, *, most: int = MOST, kept_s: float = KEPT_S) -> None:
        self._connection = connection
        self._most = most
        self._kept_s = kept_s
        self._count = int(connection.execute("SELECT count(*) FROM commands").fetchone()[0])
        self._new_count = self._count
        self._looked_at = float("-inf")
        self._highest = self._new_highest = read_last_number(connection)
        """No row has a higher number; one that has is new, and need not be searched for."""

    def write(self, arrivals: Sequence[Arrivals], commits: list[Commit], *, now: float) -> list[Commit]:
        """Write the arrivals' commands and forget some old ones; return the commits with who was refused.

        Call `written` when the transaction is committed.
        """
        self._new_count, self._new_highest = self._count, self._highest
        last = {row.number: row for batch in arrivals for row in batch.commands}
        if last:
            pairs = zip(arrivals, commits, strict=True)
            commits = [self._with_refused(batch, commit, last, now=now) for batch, commit in pairs]
        elif abs(now - self._looked_at) < _LOOK_S:  # the wall clock may step back
            return commits
        self._looked_at = now
        if self._new_count:
            self._forget(now, at_most=_SLICE + 2 * max(0, self._new_count - self._count))
        return commits

    def written(self) -> None:
        """Take note that what was written is on disk."""
        self._count, self._highest = self._new_count, self._new_highest

    def _with_refused(
        self, batch: Arrivals, commit: Commit, last: Mapping[int, CommandRow], *, now: float
    ) -> Commit:
        """Write the batch's rows, but for those that a later one of the same transaction is written over.

        With a scope each is written, as it may be refused.
        """
        rows = [row for row in batch.commands if row.scope is not None or last[row.number] is row]
        refused = tuple([row for row in rows if not self._put(row, now=now)])
        return msgspec.structs.replace(commit, refused=refused) if refused else commit

    def _put(self, row: CommandRow, *, now: float) -> bool:
        body = seal(row.receipt, row.body)
        if row.number <= self._new_highest and self._update(row, body):
            return True
        self._new_highest = max(self._new_highest, row.number)
        self._free(row.scope, now=now)
        added = self._connection.execute(
            f"INSERT INTO commands ({_COLUMNS}) VALUES (?, ?, ?, ?, ?) ON CONFLICT (scope) DO NOTHING",  # noqa: S608
            (row.number, row.receipt, row.scope, row.ended_at, body),
        )
        self._new_count += added.rowcount
        return bool(added.rowcount)

    def _update(self, row: CommandRow, body: bytes) -> bool:
        """Write over the row of this number; return whether there is one."""
        changed = self._connection.execute(
            "UPDATE commands SET scope = ?, ended_at = ?, body = ? WHERE number = ?",
            (row.scope, row.ended_at, body, row.number),
        )
        return bool(changed.rowcount)

    def _free(self, scope: bytes | None, *, now: float) -> None:
        """Forget who has this scope, if his time is over."""
        if scope is not None:
            gone = self._connection.execute(
                "DELETE FROM commands WHERE scope = ? AND ended_at < ?", (scope, now - self._kept_s)
            )
            self._new_count -= gone.rowcount

    def _forget(self, now: float, *, at_most: int) -> None:
        self._delete(now - self._kept_s, at_most)
        self._delete(float("inf"), min(at_most, self._new_count - self._most))

    def _delete(self, ended_before: float, at_most: int) -> None:
        if at_most > 0:
            gone = self._connection.execute(_FORGET, (ended_before, at_most))
            self._new_count -= gone.rowcount


def read_open(connection: sqlite3.Connection) -> list[CommandRow]:
    """Return the commands for which something is to be done, in the order in which they were accepted.

    Raises:
        Damaged: one is not what was stored.
    """
    return [
        _row(found)
        for found in connection.execute(
            f"SELECT {_COLUMNS} FROM commands WHERE ended_at IS NULL ORDER BY number"  # noqa: S608
        )
    ]


def read_ended(connection: sqlite3.Connection, *, since: float) -> list[CommandRow]:
    """Return the commands that ended since this time, the newest `MOST_ENDED` of them, in their order.

    Raises:
        Damaged: one is not what was stored.
    """
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM commands WHERE ended_at > ? ORDER BY ended_at DESC, number DESC LIMIT ?",  # noqa: S608
        (since, MOST_ENDED),
    )
    return [_row(found) for found in rows][::-1]


def read_last_number(connection: sqlite3.Connection) -> int:
    """Return the highest number that is there; 0 if none is."""
    return int(connection.execute("SELECT coalesce(max(number), 0) FROM commands").fetchone()[0])


def read_one(
    connection: sqlite3.Connection, *, receipt: str | None = None, scope: bytes | None = None
) -> CommandRow | None:
    """Return the command with this receipt, or else with this scope; `None` if there is none.

    Raises:
        Damaged: it is not what was stored.
    """
    column, value = ("scope", scope) if receipt is None else ("receipt", receipt)
    found = connection.execute(f"SELECT {_COLUMNS} FROM commands WHERE {column} = ?", (value,)).fetchone()  # noqa: S608
    return None if found is None else _row(found)


def _row(found: tuple[int, str, bytes | None, float | None, bytes]) -> CommandRow:
    number, receipt, scope, ended_at, body = found
    return CommandRow(
        number=number, receipt=receipt, scope=scope, ended_at=ended_at, body=unseal(receipt, body)
    )
