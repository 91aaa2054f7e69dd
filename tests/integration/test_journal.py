"""The journal on a real disk: commits, restarts, locks held by others, failures."""

import asyncio
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import msgspec
import pytest

from longwire.journal import (
    Arrival,
    Commit,
    Journal,
    JournalClosed,
    JournalSaturated,
    JournalSettings,
    JournalUnavailable,
    Stored,
)
from longwire.journal.schema import SCHEMA_VERSION, open_for_writing
from longwire.journal.store import CHUNK_BYTES, CHUNK_EVENTS, Store
from longwire_protocol.errors import ConfigError

DEADLINE_S = 20.0
QUICK = JournalSettings(retry_initial_s=0.01, retry_max_s=0.02)


def arrival(number: int, key: str | None = None, *, account: str = "bot", body: bytes = b"\x80") -> Arrival:
    return Arrival(account, "acme", 1, number, "message.created", "chat", key, 1.5, body)


def arrivals(*keys: str | None) -> list[Arrival]:
    return [arrival(number, key) for number, key in enumerate(keys, 1)]


async def append(journal: Journal, batch: list[Arrival]) -> Commit:
    """Append and wait for the commit."""
    return await asyncio.wait_for(start_append(journal, batch), DEADLINE_S)


def start_append(journal: Journal, batch: list[Arrival]) -> "asyncio.Future[Commit]":
    done: asyncio.Future[Commit] = asyncio.get_running_loop().create_future()
    journal.append(batch, done=done.set_result)
    return done


def numbers(events: list[Stored]) -> list[int]:
    return [event.seq for event in events]


async def read_all(journal: Journal) -> list[Stored]:
    page = await journal.read(0, limit=100_000, max_bytes=2**30)
    return page.events


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@asynccontextmanager
async def opened(
    path: Path,
    *,
    settings: JournalSettings = QUICK,
    before_commit: Callable[[], None] | None = None,
) -> AsyncIterator[Journal]:
    journal = await Journal.open(path, settings=settings, before_commit=before_commit)
    try:
        yield journal
    finally:
        await journal.close()


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("longwire-journal"):
            thread.join(DEADLINE_S)
            assert not thread.is_alive(), thread.name


class Gate:
    """Holds commits until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()
        self.passes = 0

    def __call__(self) -> None:
        self.reached.set()
        assert self.open.wait(DEADLINE_S)
        self.passes += 1

    async def wait_reached(self) -> None:
        assert await asyncio.to_thread(self.reached.wait, DEADLINE_S)


# Commits.


async def test_events_get_growing_numbers_and_come_back_as_they_were(path: Path) -> None:
    async with opened(path) as journal:
        published: list[Stored] = []
        journal.on_committed = published.extend
        commit = await append(journal, [arrival(1, "k1", body=b"\x81\xa1a\xc0"), arrival(2)])
        expected = [
            Stored(1, "bot", "acme", "message.created", "chat", 1.5, b"\x81\xa1a\xc0"),
            Stored(2, "bot", "acme", "message.created", "chat", 1.5, b"\x80"),
        ]
        assert commit == Commit(expected, [])
        assert await read_all(journal) == published == expected
        assert journal.head == 2


async def test_a_redelivery_is_recognised_by_account_and_key(path: Path) -> None:
    async with opened(path) as journal:
        await append(journal, arrivals("a"))
        again = await append(journal, [arrival(1, "a"), arrival(2, "b"), arrival(3, "a", account="other")])
        assert again.duplicates == [arrival(1, "a")]
        assert [(event.account, event.seq) for event in again.stored] == [("bot", 3), ("other", 4)]
        assert (await append(journal, arrivals("a", "b"))).stored == []
        assert numbers(await read_all(journal)) == [1, 3, 4]


async def test_of_two_with_one_key_in_one_commit_the_first_is_stored(path: Path) -> None:
    gate = Gate()
    async with opened(path, before_commit=gate) as journal:
        start_append(journal, arrivals("first"))
        await gate.wait_reached()
        one = start_append(journal, [arrival(1, "a", body=b"1"), arrival(2, "a", body=b"2")])
        two = start_append(journal, [arrival(3, "b", body=b"3"), arrival(4, "a", body=b"4")])
        gate.open.set()
        first = await asyncio.wait_for(one, DEADLINE_S)
        second = await asyncio.wait_for(two, DEADLINE_S)
        assert gate.passes == 2  # both batches shared a commit
        assert [event.body for event in first.stored + second.stored] == [b"1", b"3"]
        assert [event.body for event in first.duplicates + second.duplicates] == [b"2", b"4"]


async def test_events_without_a_key_are_never_duplicates(path: Path) -> None:
    async with opened(path) as journal:
        for _ in range(3):
            assert len((await append(journal, arrivals(None, None))).stored) == 2


async def test_a_numbers_gap_left_by_a_duplicate_never_hides_a_later_one(path: Path) -> None:
    # Group 2 leaves its numbers after the last stored one unused; group 3 gets them again.
    async with opened(path) as journal:
        await append(journal, arrivals("a"))
        await append(journal, arrivals("b", "a", "a"))
        assert numbers((await append(journal, arrivals("a", "b", "c"))).stored) == [5]
        assert (await append(journal, arrivals("c", "b", "a"))).stored == []


async def test_keys_are_known_across_merges_and_restarts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longwire.journal.store.MERGE_AT", 3)
    async with opened(path) as journal:
        for start in range(0, 20, 2):
            commit = await append(journal, arrivals(f"k{start}", f"k{start + 1}"))
            assert len(commit.stored) == 2
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM seen").fetchone()[0] >= 12
    async with opened(path) as journal:
        commit = await append(journal, arrivals(*[f"k{n}" for n in range(21)]))
        assert numbers(commit.stored) == [41]
        assert len(commit.duplicates) == 20


async def test_all_that_waits_goes_into_one_commit_and_is_published_in_order(path: Path) -> None:
    gate = Gate()
    async with opened(path, before_commit=gate) as journal:
        groups: list[list[int]] = []
        journal.on_committed = lambda events: groups.append(numbers(events))
        order: list[str] = []
        start_append(journal, arrivals(None))
        await gate.wait_reached()
        for name in "abc":
            journal.append(arrivals(None), done=lambda _, name=name: order.append(name))
        journal.put_state("x", 1)
        last = start_append(journal, arrivals(None))
        gate.open.set()
        await asyncio.wait_for(last, DEADLINE_S)
        assert order == ["a", "b", "c"]
        assert groups == [[1], [2, 3, 4, 5]]


async def test_nothing_is_reported_while_the_commit_is_held(path: Path) -> None:
    gate = Gate()
    async with opened(path, before_commit=gate) as journal:
        done = start_append(journal, arrivals("a"))
        await gate.wait_reached()
        assert not done.done()
        assert await read_all(journal) == []  # reading is not held up, and sees nothing uncommitted
        assert journal.oldest_wait_s > 0
        gate.open.set()
        await asyncio.wait_for(done, DEADLINE_S)
        assert journal.oldest_wait_s == 0


async def test_a_failing_callback_keeps_nobody_else_from_being_told(path: Path) -> None:
    async with opened(path) as journal:
        reported: list[object] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: reported.append(context["exception"])
        )

        def fail(_: Commit) -> None:
            raise ZeroDivisionError

        journal.append(arrivals(None), done=fail)
        await append(journal, arrivals(None))
        assert [type(exc) for exc in reported] == [ZeroDivisionError]


# Bounds.


async def test_a_full_queue_refuses_explicitly_and_has_room_after_the_commit(path: Path) -> None:
    gate = Gate()
    settings = JournalSettings(max_waiting_events=3)
    async with opened(path, settings=settings, before_commit=gate) as journal:
        start_append(journal, arrivals(None, None))
        assert not journal.is_full
        last = start_append(journal, arrivals(None, None))
        assert journal.is_full
        with pytest.raises(JournalSaturated, match="4 events wait"):
            start_append(journal, arrivals(None))
        gate.open.set()
        await asyncio.wait_for(last, DEADLINE_S)
        assert not journal.is_full
        assert len((await append(journal, arrivals(None))).stored) == 1


async def test_the_queue_is_bounded_in_bytes_too(path: Path) -> None:
    gate = Gate()
    settings = JournalSettings(max_waiting_bytes=100)
    async with opened(path, settings=settings, before_commit=gate) as journal:
        last = start_append(journal, [arrival(1, body=b"x" * 100)])
        assert journal.is_full
        gate.open.set()
        await asyncio.wait_for(last, DEADLINE_S)
        assert not journal.is_full


# Failures.


async def test_a_failed_commit_is_kept_and_tried_again_until_it_succeeds(path: Path) -> None:
    failures = iter(["database or disk is full", "database or disk is full", "disk I/O error"])

    def fail_three_times() -> None:
        text = next(failures, None)
        if text is not None:
            raise sqlite3.OperationalError(text)

    async with opened(path, before_commit=fail_three_times) as journal:
        reasons: list[str | None] = []
        journal.on_trouble = reasons.append
        one, two = start_append(journal, arrivals("a")), start_append(journal, arrivals("b", "a"))
        assert numbers((await asyncio.wait_for(one, DEADLINE_S)).stored) == [1]
        assert len((await asyncio.wait_for(two, DEADLINE_S)).duplicates) == 1
        assert reasons == [
            "commits fail: database or disk is full",
            "commits fail: disk I/O error",
            None,
        ]
        assert journal.trouble is None


def test_a_full_disk_rolls_back_whole_and_works_again_with_room(path: Path) -> None:
    connection = open_for_writing(path)
    store = Store(connection)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 5}")
    large = [arrival(n, f"k{n}", body=b"x" * 10_000) for n in range(20)]
    with pytest.raises(sqlite3.OperationalError, match="full"):
        store.commit(large, states={"a": b"1"})
    assert (store.head, connection.in_transaction) == (0, False)
    connection.execute("PRAGMA max_page_count = 1000000")
    stored, duplicates = store.commit(large, states={})
    assert (len(stored), stored[0].seq, duplicates) == (20, 1, set())
    store.checkpoint_and_close()


async def test_a_lock_held_by_another_process_makes_events_late_and_nothing_else(path: Path) -> None:
    async with opened(path) as journal:
        reasons: list[str | None] = []
        troubled = asyncio.Event()
        journal.on_trouble = lambda reason: (reasons.append(reason), troubled.set())[0]
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            done = start_append(journal, arrivals("a"))
            await asyncio.wait_for(troubled.wait(), DEADLINE_S)
            assert journal.trouble == "commits fail: database is locked"
            assert not done.done()
            other.execute("ROLLBACK")
            assert numbers((await asyncio.wait_for(done, DEADLINE_S)).stored) == [1]
        assert reasons == ["commits fail: database is locked", None]


async def test_close_gives_up_in_time_when_another_process_holds_the_lock(path: Path) -> None:
    settings = JournalSettings(close_timeout_s=0.3, retry_initial_s=5.0)
    async with opened(path, settings=settings) as journal:
        troubled = asyncio.Event()
        journal.on_trouble = lambda _: troubled.set()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            done = start_append(journal, arrivals("a"))
            saving = asyncio.ensure_future(journal.save_state("k", 1))
            await asyncio.wait_for(troubled.wait(), DEADLINE_S)
            started = asyncio.get_running_loop().time()
            assert await journal.close() is False
            assert asyncio.get_running_loop().time() - started < 4.0
            with pytest.raises(JournalClosed):
                await saving
            assert not done.done()
    async with opened(path) as journal:
        assert await read_all(journal) == []
        assert len((await append(journal, arrivals("a"))).stored) == 1


async def test_close_ends_in_time_when_the_disk_hangs(path: Path) -> None:
    gate = Gate()
    journal = await Journal.open(path, settings=JournalSettings(close_timeout_s=0.1), before_commit=gate)
    done = start_append(journal, arrivals("a"))
    await gate.wait_reached()
    assert await journal.close() is False
    assert not done.done()
    gate.open.set()


async def test_close_writes_what_waits(path: Path) -> None:
    journal = await Journal.open(path)
    last = [start_append(journal, arrivals(f"k{n}")) for n in range(50)][-1]
    journal.put_state("late", "value")
    assert await journal.close() is True
    assert await journal.close() is True
    assert last.done()
    with pytest.raises(JournalClosed):
        journal.append(arrivals("x"), done=lambda _: None)
    for call in (
        journal.save_state("x", 1),
        journal.read(0, limit=1, max_bytes=1),
        journal.get_states("", int),
    ):
        with pytest.raises(JournalClosed):
            await call
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    async with opened(path) as again:
        assert len(await read_all(again)) == 50
        assert await again.get_states("late", str) == {"late": "value"}


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
        store = Store(open_for_writing(path))
        store.remove_before(100)
        store.checkpoint_and_close()

    await asyncio.to_thread(remove_all)
    async with opened(path) as journal:
        assert journal.head == 3
        page = await journal.read(0, limit=10, max_bytes=1000)
        assert (page.events, page.read_to) == ([], 3)
        commit = await append(journal, arrivals("c", "d"))
        assert (numbers(commit.stored), len(commit.duplicates)) == ([5], 1)


# Reading.


async def test_pages_are_bounded_by_events_and_bytes_and_say_how_far_they_looked(path: Path) -> None:
    async with opened(path) as journal:
        await append(journal, [arrival(n, body=b"x" * 10) for n in range(5)])

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
        await append(journal, [arrival(n) for n in range(total)])
        await append(journal, [arrival(n, body=bytes(CHUNK_BYTES // 2)) for n in range(5)])
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


async def test_a_damaged_row_is_an_error_of_the_reader_that_names_the_file(path: Path) -> None:
    async with opened(path) as journal:
        await append(journal, arrivals("a"))
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("UPDATE chunks SET events = x'c1'")
        with pytest.raises(JournalUnavailable, match=r"journal\.db"):
            await read_all(journal)
        assert len((await append(journal, arrivals("b"))).stored) == 1


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
    write(path, b"", mode=0o644)
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
