"""Incidents on a real disk."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from harness.waiting import DEADLINE_S, until
from longwire import CommandError
from longwire.evidence import Condition, Findings
from longwire.incident import IN_ALL, PER_ACCOUNT, Incident, Kind
from longwire.incidents import Incidents
from longwire.liveness import NO_PROCESS
from longwire_protocol.frames import Phase


def incident(account: str = "bot", incarnation: int = 1) -> Incident:
    return Incident(
        id=f"{account}.{incarnation}",
        account=account,
        tenant="acme",
        incarnation=incarnation,
        pid=7,
        at=1_000.0 + incarnation,
        kind=Kind.KILLED,
        reason="heartbeat_timeout",
        message="no heartbeat",
        phase=Phase.IDLE,
        phase_since=900.0,
        liveness=NO_PROCESS,
        findings=Findings(condition=Condition.BLOCKED, stacks="Thread ..."),
        log=["last words"],
    )


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Incidents]:
    """Run a store; what was recorded is written when this is left."""
    incidents = Incidents(folder)
    await incidents.open()
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(incidents.run())
        yield incidents
        await incidents.close()
        writing.cancel()


def files(folder: Path) -> dict[str, int]:
    """Return the rights of each file."""
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


def count(folder: Path) -> int:
    return len([*folder.iterdir()])


def write(folder: Path, contents: dict[str, str]) -> None:
    folder.mkdir()
    for name, text in contents.items():
        (folder / name).write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "incidents"


async def test_an_incident_can_be_read_at_once_and_by_the_next_supervisor(folder: Path) -> None:
    async with opened(folder) as incidents:
        incidents.record(incident())
        assert await incidents.get({"id": "bot.1"}, tenant=None) == incident()
    async with opened(folder) as later:
        assert await later.get({"id": "bot.1"}, tenant="acme") == incident()
        last = later.last("bot")
        assert last is not None
        assert last.id == "bot.1"
        assert later.last("other") is None
    assert files(folder.parent) == {"incidents": 0o700}
    assert files(folder) == {"bot.1.json": 0o600}


async def test_a_crash_loop_keeps_its_newest_and_pushes_out_nobody_else(folder: Path) -> None:
    async with opened(folder) as incidents:
        incidents.record(incident("quiet"))
        for incarnation in range(1, 3 * PER_ACCOUNT):
            incidents.record(incident("loop", incarnation))
            await asyncio.sleep(0)

        async def is_within_bounds() -> bool:
            return count(folder) == PER_ACCOUNT + 1

        await until(is_within_bounds, what="the oldest files are gone")
        newest = incidents.find({"limit": 3}, account="loop", tenant=None)
        assert [each.incarnation for each in newest] == [29, 28, 27]
    async with opened(folder) as later:
        assert len(later.find({}, account=None, tenant="acme")) == PER_ACCOUNT + 1
        assert later.find({}, account=None, tenant="beta") == []


async def test_a_disk_that_takes_nothing_is_said_once_and_costs_nothing_else(folder: Path) -> None:
    with capture_logs() as logs:
        async with opened(folder) as incidents:
            await asyncio.to_thread(folder.rmdir)
            for incarnation in (1, 2):
                incidents.record(incident(incarnation=incarnation))
            await incidents.close()
            assert incidents.last("bot") is None
            await asyncio.to_thread(folder.mkdir)
            incidents.record(incident(incarnation=3))
    assert [line["event"] for line in logs] == ["incident_not_kept"]
    assert [*files(folder)] == ["bot.3.json"]


async def test_of_a_hundred_that_hang_together_all_are_kept(folder: Path) -> None:
    async with opened(folder) as incidents:
        for n in range(100):
            incidents.record(incident(f"bot{n}"))
    assert count(folder) == 100


async def test_however_many_come_at_once_no_more_wait_for_the_disk_than_are_kept(folder: Path) -> None:
    async with opened(folder) as incidents:
        for n in range(IN_ALL + 20):
            incidents.record(incident(f"bot{n}"))
        assert len(incidents.find({"limit": 1000}, account=None, tenant=None)) == IN_ALL
    assert count(folder) == IN_ALL


async def test_a_disk_that_does_not_write_is_told_of_and_what_waits_can_be_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_working, write = threading.Event(), Incidents._write

    def hang(*arguments: Any) -> dict[str, str]:
        assert is_working.wait(DEADLINE_S)
        return write(*arguments)

    monkeypatch.setattr(Incidents, "_write", hang)
    monkeypatch.setattr("longwire.incidents._WRITE_S", 0.05)
    with capture_logs() as logs:
        async with opened(folder) as incidents:
            incidents.record(incident())

            async def is_told() -> bool:
                return [line["error"] for line in logs] == ["the disk does not write"]

            await until(is_told, what="it is said that the disk does not write")
            incidents.record(incident(incarnation=2))
            for name in ("bot.1", "bot.2"):
                assert (await incidents.get({"id": name}, tenant=None)).id == name
            is_working.set()
    assert count(folder) == 2


async def test_files_that_are_not_ours_are_left_alone(folder: Path) -> None:
    strangers = {"notes.json": "{}", "torn.json": '{"id": "bot', "note.txt": "x"}
    await asyncio.to_thread(write, folder, strangers)
    async with opened(folder) as incidents:
        assert incidents.find({}, account=None, tenant=None) == []
    assert files(folder).keys() == strangers.keys()


@pytest.mark.parametrize("wanted", ["bot.2", "../journal", "", None, 7])
async def test_what_is_not_there_cannot_be_got(folder: Path, wanted: object) -> None:
    async with opened(folder) as incidents:
        incidents.record(incident())
        with pytest.raises(CommandError, match="no incident"):
            await incidents.get({"id": wanted}, tenant=None)


async def test_another_tenants_incident_is_not_there(folder: Path) -> None:
    async with opened(folder) as incidents:
        incidents.record(incident())
        with pytest.raises(CommandError, match="no incident"):
            await incidents.get({"id": "bot.1"}, tenant="beta")


@pytest.mark.parametrize("params", [{"limit": 0}, {"limit": "many"}, {"account": 3}, {"unknown": 1}])
async def test_wrong_parameters_are_refused(folder: Path, params: dict[str, object]) -> None:
    async with opened(folder) as incidents:
        with pytest.raises(CommandError):
            incidents.find(params, account=None, tenant=None)
