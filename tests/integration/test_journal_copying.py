"""Copies of a journal: whole, private, also of one in use, and while retention works on it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fakes.journal import (
    append,
    arrival,
    arrivals,
    batch,
    no_thread_stays,  # noqa: F401  # pytest finds it here
    numbers,
    opened,
    path_fixture,  # noqa: F401  # pytest finds it here
    read_all,
)
from longwire.journal import copying
from longwire.journal.checksums import Damaged
from longwire.journal.copying import copy
from longwire.journal.migrations import STEPS, migrate
from longwire.journal.schema import connect
from longwire_protocol.errors import ConfigError


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if not file.name.endswith(("-wal", "-shm")))


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_a_copy_of_a_journal_in_use_is_a_journal_with_all_that_was_committed(
    path: Path, tmp_path: Path
) -> None:
    target = tmp_path / "copy.db"
    async with opened(path) as journal:
        for n in range(30):
            await append(journal, batch(*[arrival(1, f"key {n}", body=bytes(50_000))] * 3))
        await journal.next_incarnation("bot")
        done = await asyncio.to_thread(copy, path, target)
        assert (done.last_seq, done.gaps) == (journal.head, [])
        before = await read_all(journal)
        await append(journal, arrivals("later"))
    assert files(tmp_path) == ["copy.db", "journal.db"]
    assert mode(target) == 0o600
    async with opened(target) as restored:
        assert await read_all(restored) == before
        assert await restored.next_incarnation("bot") == 2
        again = await append(restored, arrivals("key 7", "later"))
        assert (len(again.duplicates), numbers(again.stored)) == (1, [done.last_seq + 1])


async def test_a_copy_in_the_middle_of_a_load_misses_nothing_up_to_its_head(
    path: Path, tmp_path: Path
) -> None:
    target = tmp_path / "copy.db"
    async with opened(path) as journal:
        for _ in range(20):
            await append(journal, batch(*[arrival(n, body=bytes(10_000)) for n in range(100)]))
        copying_now = asyncio.ensure_future(asyncio.to_thread(copy, path, target))
        commits = 0
        while not copying_now.done():
            await append(journal, arrivals(None))
            commits += 1
        done = await copying_now
    assert commits > 3
    assert done.last_seq >= 2000
    async with opened(target) as restored:
        assert restored.head == done.last_seq
        found: list[int] = []
        while (page := await restored.read(len(found), limit=1000, max_bytes=2**24)).events:
            found += numbers(page.events)
        assert found == list(range(1, done.last_seq + 1))


async def test_retention_that_overtakes_the_copying_leaves_no_hole(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_BATCH_BYTES", 1)
    target = tmp_path / "copy.db"
    async with opened(path) as journal:
        for _ in range(10):
            await append(journal, arrivals(None, None))
        loop = asyncio.get_running_loop()
        step = copying._Copying._copy_events

        def overtaken(self: copying._Copying) -> bool:
            is_more = step(self)
            if self.copy.rows == 2 and not journal.removed_to:
                asyncio.run_coroutine_threadsafe(journal.remove_through(12), loop).result(20)
            return is_more

        monkeypatch.setattr(copying._Copying, "_copy_events", overtaken)
        done = await asyncio.to_thread(copy, path, target)
        assert done.last_seq == 20
    async with opened(target) as restored:
        assert restored.removed_to == 12
        assert numbers(await read_all(restored)) == list(range(13, 21))


def test_a_damaged_journal_is_not_copied_and_nothing_is_left(path: Path, tmp_path: Path) -> None:
    async def fill() -> None:
        async with opened(path) as journal:
            await append(journal, arrivals(None))
            await append(journal, arrivals(None))
            await journal.save_state("k", 1)

    asyncio.run(fill())
    (tmp_path / "copy.db").write_text("the last good one")
    for sql in (
        "UPDATE state SET value = x'01' WHERE key = 'k'",
        "UPDATE chunks SET crc = crc + 1 WHERE first_seq = 1",
    ):
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(sql)
        with pytest.raises(Damaged):
            copy(path, tmp_path / "copy.db")
    assert files(tmp_path) == ["copy.db", "journal.db"]
    assert (tmp_path / "copy.db").read_text() == "the last good one"


def test_an_older_journal_is_not_copied_before_it_was_brought_forward(path: Path, tmp_path: Path) -> None:
    path.touch()
    with closing(connect(path, mode="rw")) as database:
        migrate(database, version=0, steps=STEPS[:1])
    with pytest.raises(ConfigError, match="earlier version"):
        copy(path, tmp_path / "copy.db")
