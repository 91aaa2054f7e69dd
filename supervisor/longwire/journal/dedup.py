"""Which arrivals were stored before: an index of 96-bit digests of account and `dedup_key`, in two tables.

Dedup keys are random, so each insert into one large B-tree dirties a page of its own, and 4 to 8 KiB of
WAL per event is what then costs (58k events/s at 0.3M keys, measured). So new keys go to the small table
`recent`, whose few pages each commit rewrites, and are merged into `seen` in key order when they are
`MERGE_AT` many: the pages of `seen` are dirtied once per merge, not once per event (104k/s in that test).

Each question is one statement for the whole group: the digests go in as one blob, which a recursive
counter cuts up, so the GIL is released for all of it at once.

96 bits: with 20 million keys the chance that a new event is taken for an old one is 2.5e-22.
"""

from __future__ import annotations

import sqlite3
from hashlib import blake2b

import msgspec

from longwire.journal.records import Arrival

MERGE_AT = 32_768
"""Keys in `recent` that start a merge; it holds up the next commit (0.1 s at 1M keys, measured)."""

_WIDTH = 12
_NO_KEY = bytes(_WIDTH)

_COUNTER = "WITH RECURSIVE item(n) AS (VALUES (0) UNION ALL SELECT n + 1 FROM item WHERE n + 1 < :count)"
_KEY = f"substr(:digests, n * {_WIDTH} + 1, {_WIDTH})"

_INSERT = f"""
INSERT OR IGNORE INTO recent {_COUNTER}
SELECT {_KEY} AS digest, :first + n FROM item
WHERE digest <> zeroblob({_WIDTH}) AND NOT EXISTS (SELECT 1 FROM seen WHERE key = digest)
"""  # noqa: S608  # constants of this module only

# A key is new if it now stands in `recent` under the very number that this group gave it: the numbers
# of a group are above every number in either table, as the group starts after the last stored event.
_FIND_NEW = f"""
{_COUNTER}
SELECT json_group_array(n) FROM item CROSS JOIN recent ON recent.key = {_KEY}
WHERE recent.seq = :first + n
"""  # noqa: S608

_INDEXES = msgspec.json.Decoder(list[int])


class DedupIndex:
    """Says which arrivals of a group are duplicates; used inside the group's transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def admit(self, arrivals: list[Arrival], *, first_seq: int) -> tuple[set[int], int]:
        """Remember the arrivals' keys under `first_seq` and up.

        Of two arrivals with one key in the same group, the later is the duplicate.

        Returns:
            The indexes of the duplicates, and how many keys were new.
        """
        keyed = [n for n, arrival in enumerate(arrivals) if arrival.dedup_key is not None]
        if not keyed:
            return set(), 0
        digests = b"".join([_digest(arrival) for arrival in arrivals])
        values = {"digests": digests, "first": first_seq, "count": len(arrivals)}
        inserted = self._connection.execute(_INSERT, values).rowcount
        if inserted == len(keyed):
            return set(), inserted
        (found,) = self._connection.execute(_FIND_NEW, values).fetchone()
        return set(keyed).difference(_INDEXES.decode(found)), inserted

    def count_recent(self) -> int:
        """Return how many keys wait to be merged."""
        return int(self._connection.execute("SELECT count(*) FROM recent").fetchone()[0])

    def merge(self) -> None:
        """Move all recent keys to the large table; to be called in a transaction of its own."""
        self._connection.execute("INSERT INTO seen SELECT key, seq FROM recent ORDER BY key")
        self._connection.execute("DELETE FROM recent")


def _digest(arrival: Arrival) -> bytes:
    if arrival.dedup_key is None:
        return _NO_KEY
    return blake2b(f"{arrival.account}\0{arrival.dedup_key}".encode(), digest_size=_WIDTH).digest()
