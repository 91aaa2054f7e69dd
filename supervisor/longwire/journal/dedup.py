"""Which arrivals were stored before: an index of 96-bit digests of account and `dedup_key`.

Keys are random, so a B-tree of all of them has a page of its own dirtied by each insert, and 4 to 8 KiB
written for each event is what then costs. Here nothing is ever written in random order::

    key_log       the new digests of each commit, as one blob: written, never searched
    sealed_keys   runs of `RUN_KEYS` digests, each written once, in order, when the log has so many: a row
                  for each `_ROW_KEYS` of them, found by the first

A filter in memory (`keyfilter.py`) over each `RUNS_PER_FILTER` runs says of almost every new key that it is
in none of them. Only the few it cannot exclude are looked up: in the set of what the log holds, and in
those runs. Old runs are dropped whole, when the youngest of their keys is older than the window.

Every question is one statement for the whole group and answers in one row: sqlite3 gives up and regains
the GIL at each row, which beside a busy event loop costs milliseconds. The digests go in as one blob, which a
recursive counter cuts up.

96 bits: with 20 million keys the chance that a new event is taken for an old one is 2.5e-22.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from struct import iter_unpack

import msgspec

from longwire.journal.keyfilter import CAPACITY, KeyFilter, Probe
from longwire.journal.records import Arrivals

RUN_KEYS = 65_536
"""Digests of one run. Sealing one holds up the next commit for some 30 ms; fewer would mean more runs to
look into for a key that the filter cannot exclude."""

RUNS_PER_FILTER = CAPACITY // RUN_KEYS

_SAVED_EACH = 8
"""Runs after which their filter is saved: its 4 MiB are then 8 bytes per key, and a start reads at most so
many runs anew (50 ms each)."""

_EXPIRED_AT_ONCE = 2
"""Runs dropped for each that is sealed: more than one, so that a backlog shrinks."""

_WIDTH = 12

_ROW_KEYS = 64
"""Digests of one row: few enough to be looked through at once. A row for each cost three times as much."""

_COUNTER = "WITH RECURSIVE item(n) AS (VALUES (0) UNION ALL SELECT n + 1 FROM item WHERE n + 1 < :count)"
_KEY = f"substr(:digests, n * {_WIDTH} + 1, {_WIDTH})"

_ROW = f"substr(:digests, n * {_WIDTH * _ROW_KEYS} + 1, {_WIDTH * _ROW_KEYS})"

_SEAL = f"""
INSERT INTO sealed_keys {_COUNTER}
SELECT :run, substr({_ROW}, 1, {_WIDTH}), {_ROW} FROM item
"""  # noqa: S608  # constants of this module only

_FIND = f"""
{_COUNTER}
SELECT json_group_array(DISTINCT n) FROM item
CROSS JOIN key_runs ON key_runs.run BETWEEN :first_run AND :last_run
WHERE instr((
    SELECT digests FROM sealed_keys
    WHERE sealed_keys.run = key_runs.run AND first <= {_KEY} ORDER BY first DESC LIMIT 1
), {_KEY}) % {_WIDTH} = 1
"""  # noqa: S608

_NEWEST_RUN = """
SELECT max(coalesce((SELECT max(run) FROM key_runs), -1),
           coalesce((SELECT max(run) FROM sealed_keys), -1),
           coalesce((SELECT max(covers_run) FROM key_filters), -1))
"""
"""The highest number ever given to a run; in a recovered journal, any of the tables may lack some. A run that
shared a number with others' keys would not be found in order, nor be read behind a filter saved before."""

_INDEXES = msgspec.json.Decoder(list[int])


class Admission(msgspec.Struct, frozen=True):
    """What a group's keys showed; `remember` it once the group is on disk."""

    duplicates: frozenset[int]
    """Indexes, through all arrivals of the group, of those stored before or earlier in the group."""
    fresh: list[bytes]
    """The digests never seen before."""


class DedupIndex:
    """Says which arrivals of a group are duplicates; used inside the group's transaction.

    Args:
        connection: of the journal.
        window_s: for how long a key is recognised at least.
    """

    def __init__(self, connection: sqlite3.Connection, *, window_s: float) -> None:
        self._connection = connection
        self._window_s = window_s
        runs = [run for (run,) in connection.execute("SELECT run FROM key_runs ORDER BY run")]
        self._run = int(connection.execute(_NEWEST_RUN).fetchone()[0]) + 1
        self._recent: set[bytes] = set()
        self._filters = {number: self._load(number) for number in {_filter_of(run) for run in runs}}
        current = self._filters.setdefault(_filter_of(self._run), KeyFilter())
        for (digests,) in connection.execute("SELECT digests FROM key_log"):
            self._recent.update(_cut(digests))
            current.add(_hashes(digests))

    @property
    def is_seal_due(self) -> bool:
        """Whether `seal` should follow soon, as what is not sealed is held in memory."""
        return len(self._recent) >= RUN_KEYS

    def admit(self, arrivals: Sequence[Arrivals], *, first_seq: int, now: float) -> Admission:
        """Write the keys that are new to the log, under the number that the group begins with.

        Of two arrivals with one key in the same group, the later is the duplicate.
        """
        indexes, digests = _digests(arrivals)
        if not digests:
            return Admission(frozenset(), [])
        known = self._find(digests)
        if len({*digests}) < len(digests):
            known |= _repeated(digests)
        fresh = [digest for n, digest in enumerate(digests) if n not in known] if known else digests
        if fresh:
            row = (first_seq, now, b"".join(fresh))
            self._connection.execute("INSERT INTO key_log VALUES (?, ?, ?)", row)
        return Admission(frozenset([indexes[n] for n in known]), fresh)

    def remember(self, admission: Admission) -> None:
        """Know these keys from now on: they are on disk."""
        self._recent.update(admission.fresh)
        self._filters[_filter_of(self._run)].add(_hashes(b"".join(admission.fresh)))

    def seal(self, *, now: float) -> None:
        """Move the log's keys to a run, and drop what is too old; wants a transaction of its own."""
        digests = b"".join(sorted(self._recent))
        rows = -(-len(self._recent) // _ROW_KEYS)
        values = {"run": self._run, "digests": digests, "count": rows}
        self._connection.execute(_SEAL, values)
        self._connection.execute("INSERT INTO key_runs VALUES (?, ?)", (self._run, now))
        self._connection.execute("DELETE FROM key_log")
        if (self._run + 1) % _SAVED_EACH == 0:
            number = _filter_of(self._run)
            saved = (number, self._run, self._filters[number].data)
            self._connection.execute("INSERT OR REPLACE INTO key_filters VALUES (?, ?, ?)", saved)
        self._expire(now - self._window_s)

    def sealed(self) -> None:
        """Begin a new run: `seal` is on disk."""
        self._run += 1
        self._recent = set()
        alive = self._connection.execute(f"SELECT DISTINCT run / {RUNS_PER_FILTER} FROM key_runs")  # noqa: S608
        numbers = {number for (number,) in alive} | {_filter_of(self._run)}
        self._filters = {number: self._filters.get(number) or KeyFilter() for number in numbers}

    def _expire(self, before: float) -> None:
        """Drop runs whose youngest key is older than `before`, some at a time."""
        query = "SELECT run FROM key_runs WHERE newest_at < ? ORDER BY run LIMIT ?"
        for (run,) in self._connection.execute(query, (before, _EXPIRED_AT_ONCE)).fetchall():
            self._connection.execute("DELETE FROM sealed_keys WHERE run = ?", (run,))
            self._connection.execute("DELETE FROM key_runs WHERE run = ?", (run,))
        self._connection.execute(
            f"DELETE FROM key_filters WHERE filter NOT IN (SELECT run / {RUNS_PER_FILTER} FROM key_runs)"  # noqa: S608
        )

    def _find(self, digests: list[bytes]) -> set[int]:
        """Return the indexes of the digests that are on disk."""
        known: set[int] = set()
        probe = Probe(_hashes(b"".join(digests)))
        for number, key_filter in self._filters.items():
            suspects = key_filter.find(probe)
            if suspects:
                known.update([n for n in suspects if digests[n] in self._recent])
                known |= self._find_sealed([n for n in suspects if n not in known], digests, number)
        return known

    def _find_sealed(self, suspects: list[int], digests: list[bytes], number: int) -> set[int]:
        """Return which of the suspects are in a run of the filter."""
        if not suspects:
            return set()
        first_run = number * RUNS_PER_FILTER
        values = {
            "digests": b"".join([digests[n] for n in suspects]),
            "count": len(suspects),
            "first_run": first_run,
            "last_run": first_run + RUNS_PER_FILTER - 1,
        }
        (found,) = self._connection.execute(_FIND, values).fetchone()
        return {suspects[n] for n in _INDEXES.decode(found)}

    def _load(self, number: int) -> KeyFilter:
        """Return the filter as it was saved, with the runs that came since."""
        saved = self._connection.execute(
            "SELECT covers_run, bits FROM key_filters WHERE filter = ?", (number,)
        ).fetchone()
        covers_run, bits = saved or (-1, None)
        key_filter = KeyFilter(bits)
        later = self._connection.execute(
            "SELECT digests FROM sealed_keys WHERE run BETWEEN ? AND ?",
            (max(covers_run + 1, number * RUNS_PER_FILTER), (number + 1) * RUNS_PER_FILTER - 1),
        )
        key_filter.add(_hashes(b"".join([digests for (digests,) in later])))
        return key_filter


def _filter_of(run: int) -> int:
    return run // RUNS_PER_FILTER


def _digests(arrivals: Sequence[Arrivals]) -> tuple[Sequence[int], list[bytes]]:
    """Return the digest of each arrival that has a key, and its index through all of them."""
    keys = [
        (f"{batch.account}\0{event.dedup_key}" if event.dedup_key is not None else None)
        for batch in arrivals
        for event in batch.events
    ]
    digests = [blake2b(key.encode(), digest_size=_WIDTH).digest() for key in keys if key is not None]
    if len(digests) == len(keys):
        return range(len(keys)), digests
    return [n for n, key in enumerate(keys) if key is not None], digests


def _repeated(digests: list[bytes]) -> set[int]:
    """Return the indexes of digests that stand earlier in the list, too."""
    seen: set[bytes] = set()
    repeated: set[int] = set()
    for n, digest in enumerate(digests):
        if digest in seen:
            repeated.add(n)
        seen.add(digest)
    return repeated


def _hashes(digests: bytes) -> list[int]:
    """Return 64 bits of each digest."""
    return [key for (key,) in iter_unpack("<Q4x", digests)]


def _cut(digests: bytes) -> Iterator[bytes]:
    return (digests[start : start + _WIDTH] for start in range(0, len(digests), _WIDTH))
