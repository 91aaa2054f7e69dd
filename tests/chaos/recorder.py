"""Gathers facts beside a campaign: the platform's diary, what `status` claims, which processes there are."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection

import msgspec
import psutil

from chaos.judges.facts import Footprint, Look, Parking, Span
from chaos.judges.leaks import leaks
from chaos.record import Record
from harness.longwire import Longwire
from harness.simulator import Simulator
from longwire import Client, CommandError, SupervisorUnreachable

_DIARY_S = 0.5
_STATUS_S = 0.25
_CENSUS_S = 1.0
_TICK_S = 0.1
_LATE_S = 0.3
"""Beyond this a tick that comes late shows that the machine is busy."""

_SLOW_S = 1.0
"""A status that takes longer was not answered meanwhile."""

_CONNECT_S = 40.0
_GREP_EACH = 20
"""Of the statuses, one in so many is searched for secrets."""


class Recorder:
    """Writes into a record until cancelled."""

    def __init__(
        self, record: Record, simulator: Simulator, longwire: Longwire, *, secrets: Collection[str]
    ) -> None:
        self._record = record
        self._simulator = simulator
        self._longwire = longwire
        self._secrets = secrets
        self._named: tuple[float, frozenset[int]] = (0.0, frozenset())
        self._searched: set[psutil.Process] = set()
        self._statuses = 0
        self.processes: set[psutil.Process] = set()
        """Every process ever seen below a supervisor."""

    def start(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Begin; return what is to be cancelled at the end."""
        works = {
            "diary": self._watch_diary(),
            "status": self._watch_status(),
            "census": self._watch_processes(),
            "lag": self._watch_lag(),
        }
        return [tasks.create_task(work, name=f"record {name}") for name, work in works.items()]

    async def read_diary(self) -> None:
        """Take over what the platform has written since."""
        entries = self._record.entries
        known = entries[-1].number if entries else 0
        news = await self._simulator.diary(after=known)
        assert not news or news[0].number == known + 1, "the diary is read too seldom"
        entries += news

    def footprint(self) -> Footprint:
        """Return what the supervisor holds now."""
        process = psutil.Process(self._longwire.program.pid)
        return Footprint(process.num_fds(), process.num_threads(), len(process.children(recursive=True)))

    def search_files(self) -> None:
        """Look for secrets in everything that was written: the log, and the data directory."""
        folder = self._longwire.folder
        for path in [self._longwire.log_file, *sorted((folder / "var").rglob("*"))]:
            if path.is_file():
                text = path.read_bytes().decode(errors="replace")
                self._record.found += leaks(text, secrets=self._secrets, where=str(path), at=time.time())

    async def _watch_diary(self) -> None:
        while True:
            await self.read_diary()
            await asyncio.sleep(_DIARY_S)  # the pace is what is wanted, here and below

    async def _watch_status(self) -> None:
        while True:
            begun = time.time()
            try:
                async with Client(self._longwire.endpoint, connect_timeout_s=_CONNECT_S) as client:
                    while True:
                        begun = time.time()
                        await self._look_at_status(client)
                        await asyncio.sleep(_STATUS_S)
            except (SupervisorUnreachable, CommandError):
                self._record.silent.append(Span(begun, time.time()))

    async def _look_at_status(self, client: Client) -> None:
        asked_at = time.time()
        status = await client.call("status")
        told_at = time.time()
        if told_at - asked_at > _SLOW_S:
            self._record.silent.append(Span(asked_at, told_at))
        accounts = status["accounts"]
        online = [account["account"] for account in accounts if account["state"] == "online"]
        self._record.claim(online, asked_at=asked_at, told_at=told_at)
        for account in accounts:
            if account["state"] == "parked":
                why = f"{account['reason']} {account['error_code']}: {account['message']}"
                since = math.ceil(account["since"] * 10) / 10  # never before what made it so
                self._record.parkings.add(Parking(account["account"], since, why))
        named = [*accounts, *status["supervisor"]["templates"]]
        self._named = told_at, frozenset(each["pid"] for each in named if each["pid"])
        self._statuses += 1
        if self._statuses % _GREP_EACH == 1:
            text = msgspec.json.encode(status).decode()
            self._record.found += leaks(text, secrets=self._secrets, where="a status", at=told_at)

    async def _watch_processes(self) -> None:
        while True:
            present = await asyncio.to_thread(self._longwire.program.descendants)
            now = time.time()
            named_at, named = self._named
            is_told = now - named_at < _SLOW_S
            pids = frozenset(process.pid for process in present)
            self._record.looks.append(Look(now, pids, named if is_told else None))
            fresh = [process for process in present if process in self.processes - self._searched]
            self.processes.update(present)
            await asyncio.to_thread(self._search, fresh)
            await asyncio.sleep(_CENSUS_S)

    def _search(self, processes: Collection[psutil.Process]) -> None:
        """Look for secrets in what everybody sees of a process; once it is as it will be."""
        for process in processes:
            self._searched.add(process)
            try:
                shown = [
                    process.name(),
                    *process.cmdline(),
                    *(f"{k}={v}" for k, v in process.environ().items()),
                ]
            except psutil.Error:
                continue
            where = f"process {process.pid} ({shown[0]})"
            self._record.found += leaks("\n".join(shown), secrets=self._secrets, where=where, at=time.time())

    async def _watch_lag(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + _TICK_S
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            late_s = loop.time() - due
            if late_s > _LATE_S:
                now = time.time()
                self._record.lag.append(Span(now - late_s, now))
            due = loop.time() + _TICK_S
