"""Most of a checkpoint, done beside the commits: it writes and syncs some 32 MiB, which takes 60 to 120 ms.

SQLite lets one connection fold the WAL into the file while another commits; only what comes meanwhile is
left, and a log that is folded in to its end is begun anew. So the writer does the end, which is short.

A fold must not begin where the writer may begin the log anew meanwhile, which it may when all of it is folded
in: until 3.51.3 SQLite then takes frames of the new log for folded in, and loses them
(https://sqlite.org/wal.html#walresetbug). So each round needs something that is left to do when it begins.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, suppress

from longwire.journal.schema import connect
from longwire.journal.wal import WalGauge

_ROUNDS = 3
"""Each takes what was committed during the one before it."""


class Fold:
    """Begins to fold a WAL into its database, on a thread and a connection of its own.

    Args:
        gauge: of that log; a commit of which nothing is folded in yet stands at its end.
        on_done: called at the end, on that thread.
    """

    def __init__(self, gauge: WalGauge, *, on_done: Callable[[], None]) -> None:
        self._gauge = gauge
        self._on_done = on_done
        self.is_done = False
        """Whether it came to its end, folded in or failed."""
        self._thread = threading.Thread(target=self._run, name="longwire-journal-fold", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no thread is to be had: then the end is all of it
            self.is_done = True

    def wait(self) -> None:
        """Wait for its end, as long as the disk takes for what is left of some 32 MiB."""
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            # What it could not do is left to the checkpoint that ends it.
            with suppress(sqlite3.Error), closing(connect(self._gauge.path, mode="rw")) as connection:
                self._fold(connection)
        finally:
            self.is_done = True
            self._on_done()

    def _fold(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA synchronous = FULL")
        for _ in range(_ROUNDS):
            query = "PRAGMA wal_checkpoint(PASSIVE)"
            _, _, folded = connection.execute(query).fetchone()
            if self._gauge.frames <= folded:
                break
