"""The durable subscriber of a campaign, seen from outside: a process to kill, and the store it leaves."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from harness.processes import Program

_PROGRAM = Path(__file__).with_name("subscriber.py")
_BUSY_S = 10.0


class Received(msgspec.Struct, frozen=True):
    """The effect of one event, as the subscriber put it on disk."""

    seq: int
    id: str
    type: str
    account: str
    chat: str | None
    key: str | None
    """What the platform's redeliveries of it have in common."""


class Reader:
    """Runs the subscriber; its effects outlive it."""

    def __init__(self, endpoint: str, folder: Path) -> None:
        self._endpoint = endpoint
        self._store = folder / "effects.sqlite3"
        self._log = folder / "subscriber.log"
        self._program: Program | None = None

    async def open(self) -> None:
        """Begin to read, or go on."""
        # -P: this folder has a `platform.py`, which is none of the standard library's.
        command = [sys.executable, "-P", str(_PROGRAM), self._endpoint, str(self._store)]
        self._program = await Program.start(command, output=self._log)

    async def kill(self) -> None:
        """End it with SIGKILL."""
        program, self._program = self._program, None
        if program is not None:
            assert program.returncode is None, f"the subscriber ended by itself:\n{program.text()[-3000:]}"
            await program.kill()

    def received(self) -> list[Received]:
        """Return every effect, in the order in which they happened."""
        return [
            Received(*row)
            for row in self._query("SELECT seq, id, type, account, chat, key FROM effects ORDER BY place")
        ]

    def count(self) -> int:
        """Return how many effects there are; 0 before the first."""
        return int(self._query("SELECT count(*) FROM effects")[0][0]) if self._store.exists() else 0

    def deliveries(self) -> int:
        """Return how many events came, the same ones again included."""
        return int(self._query("SELECT count(*) FROM deliveries")[0][0])

    def reused(self) -> list[tuple[Any, ...]]:
        """Return the numbers under which more than one event came."""
        return self._query("SELECT seq FROM deliveries GROUP BY seq HAVING count(DISTINCT event_id) > 1")

    def _query(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self._store, timeout=_BUSY_S)) as store:
            return store.execute(sql).fetchall()
