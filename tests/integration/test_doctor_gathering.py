"""A doctor looks at odd things and does not fall over them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from longwire.doctor import Finding, Level, cgroups, examine, gather, gathering
from longwire.doctor.facts import Facts
from longwire_protocol.errors import SupervisorUnreachable


@pytest.fixture
def look(tmp_path: Path) -> Callable[..., Facts]:
    """Look at a configuration with one loopback account and these lines of `[supervisor]`."""

    def look(*lines: str, **environ: str) -> Facts:
        config = tmp_path / "longwire.toml"
        config.write_text("\n".join(["[supervisor]", *lines, "[accounts.a]", 'connector = "loopback"']))
        return gather(config, environ=environ)

    return look


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Path]:
    """A socket where somebody listens, and a data directory around it."""
    (tmp_path / "var").mkdir(mode=0o700)
    path = tmp_path / "var" / "longwire.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield path


def worst(facts: Facts, check: str) -> Finding:
    order = [Level.OK, Level.NOTE, Level.WARNING, Level.ERROR]
    return max((f for f in examine(facts) if f.check == check), key=lambda f: order.index(f.level))


def test_a_data_directory_that_is_a_file(look: Callable[..., Facts], tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")
    assert "is no directory" in worst(look(), "data_dir").message


def test_a_data_directory_far_below_what_is_there(look: Callable[..., Facts]) -> None:
    facts = look('data_dir = "a/b/c/d"', 'endpoint = "ipc://run/longwire.sock"')
    assert facts.place is not None
    assert (facts.place.exists, facts.place.is_writable) == (False, True)
    assert facts.place.free
    assert facts.place.file_system


def test_a_data_directory_that_may_not_even_be_looked_at(
    look: Callable[..., Facts], monkeypatch: pytest.MonkeyPatch
) -> None:
    really = Path.exists

    def exists(path: Path, **options: Any) -> bool:
        if path.name == "locked":
            raise PermissionError(13, "Permission denied")
        return really(path, **options)

    monkeypatch.setattr(Path, "exists", exists)
    facts = look('data_dir = "locked"')
    assert facts.place is not None
    assert not facts.place.exists


@pytest.mark.usefixtures("listening")
def test_a_supervisor_that_answers_in_another_shape(
    look: Callable[..., Facts], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask(_endpoint: str) -> dict[str, Any]:
        return {"supervisor": {}}

    monkeypatch.setattr(gathering, "_ask", ask)
    facts = look()
    assert "KeyError" in facts.unreadable["supervisor"]
    assert facts.running.version is None


@pytest.mark.usefixtures("listening")
def test_somebody_else_at_the_socket_who_does_not_answer(
    look: Callable[..., Facts], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask(_endpoint: str) -> dict[str, Any]:
        raise SupervisorUnreachable("nobody")

    monkeypatch.setattr(gathering, "_ask", ask)
    facts = look()
    assert (facts.running.version, facts.running.is_locked) == (None, False)
    assert facts.place is not None
    assert facts.place.stale_sockets == ()


def test_a_socket_that_nobody_listens_at_is_stale(listening: Path, look: Callable[..., Facts]) -> None:
    listening.unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(listening))
    facts = look()
    assert facts.place is not None
    assert facts.place.stale_sockets == (str(listening),)


def test_what_cannot_be_read_is_named(look: Callable[..., Facts], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> cgroups.Room:
        raise OSError("no such thing here")

    monkeypatch.setattr(cgroups, "room", fail)
    facts = look(HTTPS_PROXY="http://127.0.0.1:1", OTHER_PROXY="x")
    assert "no such thing here" in worst(facts, "cgroup").message
    assert facts.machine.memory_limit is None
    assert facts.proxies == {"HTTPS_PROXY": "http://127.0.0.1:1"}
