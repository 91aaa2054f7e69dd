"""Incidents on disk: small files that outlive the supervisor, written beside the loop, within bounds.

What is kept is decided by `longwire.incident`. There is no fsync: a dying supervisor leaves what it wrote to
the system, and for a dying machine an incident is not worth the disk's time.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from longwire.incident import Incident, Summary, newest, summary_of, surplus
from longwire.logger import get_logger
from longwire_protocol.errors import CommandError, RetCode

_log = get_logger("longwire.incidents")

FOLDER: Final = "incidents"
"""In the data directory."""

_WRITE_S = 5.0
"""How long a write may take until it is said that the disk does not write; it should take milliseconds."""

_CLOSE_S = 1.0
"""How long a stop waits for a disk that does not write."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Incident).decode
_decode_summary = msgspec.json.Decoder(Summary).decode


class ListParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of `incident.list`."""

    account: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class Incidents:
    """Keeps incidents; `open` it, and have `run` run in a task.

    Args:
        folder: of ours; made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[str, Summary] = {}
        self._last: dict[str, Summary] = {}
        """The newest of each account."""
        self._waiting: dict[str, Incident] = {}
        """For the disk; each is a kept one, so there are never more, however many come at once."""
        self._writing: dict[str, Incident] = {}
        self._gone: list[Summary] = []
        """Whose files are to be removed; of those on disk and those that are being written."""
        self._news = asyncio.Event()
        self._is_written = asyncio.Event()
        self._is_written.set()
        self._is_in_trouble = False

    async def open(self) -> None:
        """Take over what earlier supervisors left.

        Raises:
            OSError: the folder cannot be made.
        """
        for summary in sorted(await asyncio.to_thread(self._load), key=lambda each: each.at):
            self._keep(summary)

    def record(self, incident: Incident) -> None:
        """Keep an incident; it is on disk soon."""
        self._waiting[incident.id] = incident
        self._keep(summary_of(incident))
        self._is_written.clear()
        self._news.set()

    def last(self, account: str) -> Summary | None:
        """Return an account's newest."""
        return self._last.get(account)

    def find(self, params: dict[str, Any], *, account: str | None, tenant: str | None) -> list[Summary]:
        """Return the newest, the newest first; see `ListParams`.

        Raises:
            CommandError: a parameter is wrong.
        """
        try:
            wanted = msgspec.convert(params, ListParams)
        except msgspec.ValidationError as exc:
            raise CommandError(RetCode.BAD_PARAM, str(exc)) from exc
        of = account or wanted.account
        return newest(list(self._kept.values()), account=of, tenant=tenant, limit=wanted.limit)

    async def get(self, params: dict[str, Any], *, tenant: str | None) -> Incident:
        """Return one with all that is known of it.

        Raises:
            CommandError: there is none of that `id`.
        """
        name = params.get("id")
        summary = self._kept.get(name) if isinstance(name, str) else None
        if summary is None or tenant not in {None, summary.tenant}:
            raise CommandError(RetCode.BAD_PARAM, f"no incident {name!r}; see incident.list")
        if waiting := self._waiting.get(summary.id) or self._writing.get(summary.id):
            return waiting
        try:
            return _decode(await asyncio.to_thread(self._path(summary.id).read_bytes))
        except (OSError, msgspec.MsgspecError) as exc:
            raise CommandError(RetCode.INTERNAL, f"incident {name} cannot be read: {exc}") from exc

    async def run(self) -> None:
        """Write what is recorded, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            self._writing, self._waiting = self._waiting, {}
            errors = await self._write_soon()
            for incident in self._writing.values():
                if incident.id in errors:
                    self._forget(incident)
            self._writing = {}
            self._is_in_trouble = self._is_in_trouble and bool(errors)
            if errors:
                self._complain(next(iter(errors.values())))
            if not self._waiting:
                self._is_written.set()

    async def _write_soon(self) -> dict[str, str]:
        """Have the disk brought up to date; return what failed. It is said if that takes long."""
        gone, self._gone = self._gone, []
        late = asyncio.get_running_loop().call_later(_WRITE_S, self._complain, "the disk does not write")
        try:
            return await asyncio.to_thread(self._write, [*self._writing.values()], gone)
        finally:
            late.cancel()

    async def close(self) -> None:
        """Wait until all is written, unless the disk takes too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._is_written.wait()

    def _keep(self, summary: Summary) -> None:
        self._kept[summary.id] = self._last[summary.account] = summary
        for each in surplus(self._kept.values()):
            self._forget(each)
            if self._waiting.pop(each.id, None) is None:
                self._gone.append(each)

    def _forget(self, summary: Summary) -> None:
        self._kept.pop(summary.id, None)
        last = self._last.get(summary.account)
        if last is not None and last.id == summary.id:
            del self._last[summary.account]

    def _complain(self, error: str) -> None:
        if not self._is_in_trouble:
            self._is_in_trouble = True
            _log.warning("incident_not_kept", error=error)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    # In a thread.

    def _load(self) -> list[Summary]:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        found: list[Summary] = []
        for path in self._folder.glob("*.json"):
            with suppress(OSError, msgspec.MsgspecError):  # not one of ours
                summary = _decode_summary(path.read_bytes())
                if path.name == f"{summary.id}.json":
                    found.append(summary)
        return found

    def _write(self, batch: list[Incident], gone: list[Summary]) -> dict[str, str]:
        """Write these, then remove those, some of them of the same batch; return what failed and why."""
        errors: dict[str, str] = {}
        for incident in batch:
            try:
                self._write_one(incident)
            except OSError as exc:
                errors[incident.id] = str(exc)
        for each in gone:
            with suppress(OSError):
                self._path(each.id).unlink(missing_ok=True)
        return errors

    def _write_one(self, incident: Incident) -> None:
        """Write it in one step as seen from outside."""
        new = self._folder / f"{incident.id}.new"
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(_encode(incident))
        new.replace(self._path(incident.id))
