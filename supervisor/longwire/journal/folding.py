"""Most of a checkpoint, done beside the commits: it writes and syncs some 32 MiB, which takes 60 to 120 ms.

SQLite lets one connection fold the WAL into the file while another commits; only what comes meanwhile is
left, and a log that is folded in to its end is begun anew. So the writer does the end, which is short.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path

from longwire.journal.schema import connect

_ROUNDS = 3
"""Each takes what was committed during the one before it."""


class Fold:
    """Begins to fold the WAL of the journal at `path` into it, on a thread and a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = threading.Thread(target=self._run, name="longwire-journal-fold", daemon=True)
        with suppress(RuntimeError):  # no thread is to be had: then the end is all of it
            self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether it came to its end, folded in or failed."""
        return not self._thread.is_alive()

    def wait(self) -> None:
        """Wait for its end, as long as the disk takes for what is left of some 32 MiB."""
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        # What it could not do is left to the checkpoint that ends it.
        with suppress(sqlite3.Error), closing(connect(self._path, mode="rw")) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            for _ in range(_ROUNDS):
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
