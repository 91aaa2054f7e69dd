"""The journal's commits on a real disk: what is stored, queues that fill, locks held by others, failures."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

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
    start_append,
)
from longwire.journal import Commit, Journal, JournalClosed, JournalSaturated, JournalSettings, Stored
from longwire.journal.schema import open_for_writing
from longwire.journal.store import Store

# Commits.


async def test_events_get_growing_numbers_and_come_back_as_they_were(path: Path) -> None:
    async with opened(path) as journal:
        published: list[Stored] = []
        journal.on_committed = published.extend
        commit = await append(journal, batch(arrival(1, "k1", body=b"\x81\xa1a\xc0"), arrival(2)))
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
        again = await append(journal, arrivals("a", "b"))
        other = await append(journal, arrivals("a", account="other"))
        assert again.duplicates == [arrival(1, "a")]
        assert [(event.account, event.seq) for event in again.stored + other.stored] == [
            ("bot", 2),
            ("other", 3),
        ]
        assert (await append(journal, arrivals("a", "b"))).stored == []
        assert numbers(await read_all(journal)) == [1, 2, 3]


async def test_of_two_with_one_key_in_one_commit_the_first_is_stored(path: Path) -> None:
    gate = Gate()
    async with opened(path, before_commit=gate) as journal:
        start_append(journal, arrivals("first"))
        await gate.wait_reached()
        one = start_append(journal, batch(arrival(1, "a", body=b"1"), arrival(2, "a", body=b"2")))
        two = start_append(journal, batch(arrival(3, "b", body=b"3"), arrival(4, "a", body=b"4")))
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
        last = start_append(journal, batch(arrival(1, body=b"x" * 100)))
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
    store = Store(connection, dedup_window_s=60.0)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 5}")
    large = [batch(*[arrival(n, f"k{n}", body=b"x" * 10_000) for n in range(20)])]
    with pytest.raises(sqlite3.OperationalError, match="full"):
        store.commit(large, states={"a": b"1"})
    assert (store.head, connection.in_transaction) == (0, False)
    connection.execute("PRAGMA max_page_count = 1000000")
    (commit,) = store.commit(large, states={})
    assert (numbers(commit.stored), commit.duplicates) == (list(range(1, 21)), [])
    (again,) = store.commit(large, states={})
    assert (len(again.stored), len(again.duplicates)) == (0, 20)
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
