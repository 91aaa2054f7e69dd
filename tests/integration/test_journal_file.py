"""The journal's file: what is found in it after a restart, reading it, and files that are refused."""

import asyncio
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from fakes.journal import (
    DEADLINE_S,
    Gate,
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
from longwire.journal import Journal, JournalClosed, JournalSaturated, JournalSettings, JournalUnavailable
from longwire.journal.chunks import CHUNK_BYTES, CHUNK_EVENTS
from longwire.journal.schema import SCHEMA_VERSION, open_for_writing
from longwire.journal.store import Store
from longwire_protocol.errors import ConfigError

# Numbers across restarts.


async def test_numbers_go_on_after_a_restart(path: Path) -> None:
    for expected in (1, 2, 3):
        async with opened(path) as journal:
            assert journal.head == expected - 1
            assert numbers((await append(journal, arrivals(None))).stored) == [expected]


async def test_numbers_are_never_given_again_after_everything_was_removed(path: Path) -> None:
    async with opened(path) as journal:
        await append(journal, arrivals("a", "b", "c"))

    def remove_all() -> None:
        store = Store(open_for_writing(path), dedup_window_s=60.0)
        while not store.remove_before(100):
            pass  # on a busy machine one step may remove nothing
        store.checkpoint_and_close()

    await asyncio.to_thread(remove_all)
    async with opened(path) as journal:
        assert journal.head == 3
        page = await journal.read(0, limit=10, max_bytes=1000)
        assert (page.events, page.read_to) == ([], 3)
        commit = await append(journal, arrivals("c", "d"))
        assert (numbers(commit.stored), len(commit.duplicates)) == ([4], 1)


# Reading.


async def test_pages_are_bounded_by_events_and_bytes_and_say_how_far_they_looked(path: Path) -> None:
    async with opened(path) as journal:
        await append(journal, batch(*[arrival(n, body=b"x" * 10) for n in range(5)]))

        async def page(after: int, limit: int, max_bytes: int) -> tuple[list[int], int]:
            found = await journal.read(after, limit=limit, max_bytes=max_bytes)
            return numbers(found.events), found.read_to

        assert await page(0, 2, 1000) == ([1, 2], 2)
        assert await page(2, 100, 25) == ([3, 4], 4)
        assert await page(2, 100, 1) == ([3], 3)
        assert await page(2, 0, 1) == ([3], 3)
        assert await page(4, 100, 1000) == ([5], 5)
        assert await page(5, 100, 1000) == ([], 5)
        assert await page(9, 100, 1000) == ([], 9)


async def test_events_are_read_in_order_across_many_rows_from_anywhere(path: Path) -> None:
    total = 3 * CHUNK_EVENTS + 7
    async with opened(path) as journal:
        await append(journal, batch(*[arrival(n) for n in range(total)]))
        await append(journal, batch(*[arrival(n, body=bytes(CHUNK_BYTES // 2)) for n in range(5)]))
        for after in (0, 1, CHUNK_EVENTS - 1, CHUNK_EVENTS, CHUNK_EVENTS + 1, total - 1, total + 2):
            found: list[int] = []
            position = after
            while True:
                page = await journal.read(position, limit=100, max_bytes=CHUNK_BYTES)
                found += numbers(page.events)
                if not page.events:
                    break
                position = page.read_to
            assert found == list(range(after + 1, total + 6))
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT first_seq, last_seq FROM chunks").fetchall()
    assert len(rows) == 4 + 2


async def test_a_read_that_takes_too_long_is_given_up(path: Path) -> None:
    async with opened(path, settings=JournalSettings(read_timeout_s=0.05)) as journal:
        hang = threading.Event()
        with pytest.raises(JournalUnavailable, match=r"0\.05 s"):
            await journal._reader.run(lambda _: hang.wait(DEADLINE_S))
        waiting = asyncio.ensure_future(read_all(journal))
        await asyncio.wait([waiting], timeout=0)
        closing_down = asyncio.ensure_future(journal.close())
        with pytest.raises((JournalClosed, JournalUnavailable)):
            await waiting
        hang.set()
        assert await closing_down


async def test_too_many_waiting_reads_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longwire.journal.reader._MAX_WAITING", 1)
    async with opened(path) as journal:
        hang, begun = threading.Event(), threading.Event()
        one = asyncio.ensure_future(journal._reader.run(lambda _: (begun.set(), hang.wait(DEADLINE_S))))
        assert await asyncio.to_thread(begun.wait, DEADLINE_S)
        two = asyncio.ensure_future(read_all(journal))
        await asyncio.wait([two], timeout=0)
        with pytest.raises(JournalSaturated):
            await read_all(journal)
        hang.set()
        await asyncio.gather(one, two)


# Small state.


async def test_states_are_kept_by_key_and_the_last_of_several_wins(path: Path) -> None:
    async with opened(path) as journal:
        journal.put_state("ack/a", {"low": 1})
        journal.put_state("ack/a", {"low": 2})
        journal.put_state("ack/b", {"low": 3})
        journal.put_state("other", [1])
        await journal.save_state("ack/c", {"low": 4})
        expected = {"ack/a": {"low": 2}, "ack/b": {"low": 3}, "ack/c": {"low": 4}}
        assert await journal.get_states("ack/", dict[str, int]) == expected
        await journal.save_state("ack/a", None)
    async with opened(path) as journal:
        assert list(await journal.get_states("", msgspec.Raw)) == [
            "ack/b",
            "ack/c",
            "other",
        ]
        with pytest.raises(msgspec.ValidationError):
            await journal.get_states("other", int)


async def test_a_lazy_state_is_written_soon_without_any_other_traffic(path: Path) -> None:
    written = threading.Event()
    async with opened(path, before_commit=written.set) as journal:
        journal.put_state("k", 1)
        assert await asyncio.to_thread(written.wait, DEADLINE_S)


async def test_an_incarnation_is_on_disk_before_it_is_used_and_never_repeats(path: Path) -> None:
    async with opened(path) as journal:
        together = await asyncio.gather(*[journal.next_incarnation("a") for _ in range(3)])
        assert sorted(together) == [1, 2, 3]
        assert await journal.next_incarnation("b") == 1
        assert await journal.get_states("incarnation/", int) == {"incarnation/a": 3, "incarnation/b": 1}
    async with opened(path) as journal:
        assert await journal.next_incarnation("a") == 4


async def test_an_incarnation_waits_for_the_disk(path: Path) -> None:
    gate = Gate()
    async with opened(path, before_commit=gate) as journal:
        number = asyncio.ensure_future(journal.next_incarnation("a"))
        await gate.wait_reached()
        assert not number.done()
        gate.open.set()
        assert await asyncio.wait_for(number, DEADLINE_S) == 1


# The file.


async def test_the_files_are_private(path: Path) -> None:
    async with opened(path):
        pass
    await asyncio.to_thread(path.chmod, 0o644)
    async with opened(path) as journal:
        await append(journal, arrivals("a"))
        files = sorted(path.parent.iterdir())
        assert [file.name for file in files] == ["journal.db", "journal.db-shm", "journal.db-wal"]
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def write(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    path.write_bytes(data)
    path.chmod(mode)


def content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


async def refuse(path: Path) -> str:
    """Return why the journal is refused, having seen that its file is not touched."""
    before = content(path)
    with pytest.raises(ConfigError) as caught:
        await Journal.open(path)
    assert content(path) == before
    (problem,) = caught.value.problems
    assert problem.place == "supervisor.data_dir"
    assert str(path) in problem.message
    return problem.message


async def test_a_newer_schema_is_refused(path: Path) -> None:
    async with opened(path):
        pass
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    assert "newer Longwire" in await refuse(path)


async def test_what_is_no_database_is_refused(path: Path) -> None:
    write(path, b"This is not a database. " * 100)
    assert "not a database" in await refuse(path)


async def test_another_programs_database_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE theirs (x)")
    assert "another program" in await refuse(path)


async def test_a_journal_without_its_tables_is_refused(path: Path) -> None:
    async with opened(path):
        pass
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TABLE chunks")
    assert "no such table" in await refuse(path)


async def test_an_unreadable_state_of_an_account_is_refused(path: Path) -> None:
    async with opened(path) as journal:
        await journal.save_state("incarnation/a", "one")
    assert "cannot be read" in await refuse(path)


async def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "cannot be opened" in await refuse(tmp_path / "none" / "journal.db")


async def test_a_disk_that_does_not_answer_at_opening_is_refused_in_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang = threading.Event()

    def open_slowly(*_: object) -> None:
        hang.wait(DEADLINE_S)

    monkeypatch.setattr("longwire.journal.journal._open", open_slowly)
    with pytest.raises(ConfigError, match="within"):
        await Journal.open(path, settings=JournalSettings(open_timeout_s=0.05))
    hang.set()


async def test_what_a_crash_left_in_the_wal_is_there_again(path: Path, tmp_path: Path) -> None:
    async with opened(path) as journal:
        await append(journal, arrivals("a", "b"))
        crashed = tmp_path / "crashed"
        crashed.mkdir()
        for file in path.parent.glob("journal.db*"):
            if not file.name.endswith("-shm"):
                (crashed / file.name).write_bytes(file.read_bytes())
    async with opened(crashed / path.name) as journal:
        assert numbers(await read_all(journal)) == [1, 2]
        assert len((await append(journal, arrivals("b", "c"))).duplicates) == 1
