"""Subscribers that are processes of their own, seen from outside: what they have done, and their signals."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import msgspec

from chaos.counter import Report
from harness.processes import Program
from harness.waiting import until

_FOLDER = Path(__file__).parent
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
    """Runs the durable subscriber of a campaign (`subscriber.py`); its effects outlive it."""

    def __init__(self, endpoint: str, folder: Path) -> None:
        self._endpoint = endpoint
        self._store = folder / "effects.sqlite3"
        self._log = folder / "subscriber.log"
        self._program: Program | None = None

    async def open(self) -> None:
        """Begin to read, or go on."""
        self._program = await _start("subscriber.py", self._endpoint, self._store, output=self._log)

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


class CountingReader:
    """Runs a subscriber that counts (`counter.py`)."""

    def __init__(self, endpoint: str, name: str, folder: Path) -> None:
        self.name = name
        self._endpoint = endpoint
        self._report = folder / f"{name}.json"
        self._log = folder / f"{name}.log"
        self._program: Program | None = None

    @property
    def program(self) -> Program:
        """Its process."""
        assert self._program is not None, "not started"
        return self._program

    async def __aenter__(self) -> Self:
        self._report.unlink(missing_ok=True)
        self._program = await _start("counter.py", self._endpoint, self.name, self._report, output=self._log)

        async def is_open() -> bool:
            return self._report.exists()

        await until(is_open, what=f"{self.name} is open")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.program.returncode is None, f"{self.name} ended by itself:\n{self.program.text()[-3000:]}"
        await self.program.kill()

    def report(self) -> Report:
        """Return how far it is, or was when it was stopped."""
        return msgspec.json.decode(self._report.read_bytes(), type=Report)

    async def until_events(self, count: int, *, deadline_s: float) -> Report:
        """Wait until it has so many; return its report."""

        async def look() -> Report | None:
            report = self.report()
            return report if report.events >= count else None

        return await until(look, what=f"{self.name} has {count} events", deadline_s=deadline_s)


async def _start(program: str, *arguments: str | Path, output: Path) -> Program:
    # -P: this folder has a `platform.py`, which is none of the standard library's.
    command = [sys.executable, "-P", str(_FOLDER / program), *map(str, arguments)]
    return await Program.start(command, output=output)
