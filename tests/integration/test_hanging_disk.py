"""A disk that does not answer holds up nobody who can do without it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fakes.nursery import (
    Stage,
    stage_fixture,  # noqa: F401  # pytest finds it here
)
from longwire import configuration, nursery
from longwire.configuration import Configuration
from longwire.templates import Template
from longwire_protocol.errors import ConfigError

DEADLINE_S = 40.0


@pytest.fixture(name="disk")
def disk_fixture() -> Iterator[threading.Event]:
    """A disk that answers once this is set, at the latest after the test."""
    is_back = threading.Event()
    yield is_back
    is_back.set()


async def test_children_are_forked_while_the_loops_threads_all_hang(
    stage: Stage, disk: threading.Event
) -> None:
    with ThreadPoolExecutor(1) as pool:
        asyncio.get_running_loop().set_default_executor(pool)
        hanging = asyncio.create_task(asyncio.to_thread(disk.wait, 60), name="hangs")
        first = await stage.make()
        second = await stage.make()
        assert stage.template_of(first) == stage.template_of(second) is not None
        disk.set()
        await hanging
    await first.end()
    await second.end()


async def test_children_are_forked_though_nobody_knows_whether_their_files_were_replaced(
    stage: Stage, disk: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Template] = []

    def wear(template: Template) -> str | None:
        looks.append(template)
        disk.wait(60)
        return "it hung"

    monkeypatch.setattr(Template, "wear", wear)
    monkeypatch.setattr(nursery, "_WEAR_S", 0.05)
    monkeypatch.setattr(nursery, "_MOST_LOOKS", 2)
    made = [await stage.make() for _ in range(4)]
    assert len({stage.template_of(each) for each in made}) == 1
    assert len(looks) == 2  # the first one needs none, and from the third on there are too many
    for each in made:
        await each.end()


class Asker:
    """Is asked for connectors, and hangs."""

    def __init__(self, disk: threading.Event) -> None:
        self.disk = disk
        self.is_interrupted = False

    def __call__(self, python: str | None = None) -> Mapping[str, Any]:
        del python
        self.disk.wait(60)
        raise ConfigError([])

    def interrupt(self) -> None:
        self.is_interrupted = True


async def test_a_check_that_hangs_is_refused_in_time_and_so_are_more_than_a_few(
    disk: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configuration, "_CHECK_S", 0.05)
    askers: list[Asker] = []

    def ask() -> Asker:
        askers.append(Asker(disk))
        return askers[-1]

    accounts = {"accounts": {"a": {"connector": "loopback"}}}
    files = iter([{}, *[accounts] * 9])
    under_test = Configuration(next(files), base=Path("/"), environ={}, read=lambda: next(files), asker=ask)
    for n in range(6):
        with pytest.raises(ConfigError, match="within 0.05 s" if n < 4 else "still hang"):
            await under_test.reread()
    assert [asker.is_interrupted for asker in askers] == [False, True, True, True, True]
    disk.set()


async def test_a_file_that_is_read_again_and_does_not_answer_is_a_mistake_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "longwire.toml"
    path.touch()
    under_test = await asyncio.to_thread(Configuration.of_file, path, environ={})
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(under_test._files, "_timeout_s", 0.05)  # pyright: ignore[reportPrivateUsage]
    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(ConfigError, match=r"longwire\.toml cannot be read: no answer within 0\.05 s"):
            await under_test.reread()
    os.close(os.open(path, os.O_WRONLY))  # who waits for a writer has had one
