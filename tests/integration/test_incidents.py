"""Incidents on a real disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from harness.waiting import until
from longwire import CommandError
from longwire.evidence import Condition, Findings
from longwire.incident import PER_ACCOUNT, Incident, Kind
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
