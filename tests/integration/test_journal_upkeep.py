"""The journal over a long time: limits, space, the write-ahead log, older files; with real SQLite files."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from fakes.journal import (
    DEADLINE_S,
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
from harness.waiting import until
from longwire.deliveries import STATE_PREFIX, Deliveries, Gap, Saved
from longwire.delivery import Filters, Progress
from longwire.journal import Journal, JournalSettings, JournalUnavailable, Stored, dedup, folding
from longwire.journal import store as journal_store
from longwire.journal.migrations import SCHEMA_VERSION, STEPS, migrate
from longwire.journal.retention import Limits
from longwire.journal.schema import connect, open_for_writing
from longwire.journal.store import STEP_S, Store
from longwire.journal.wal import WalGauge, wal_path
from longwire.keeper import Keeper

MIB = 1024 * 1024
BODY = bytes(10_000)


async def fill(journal: Journal, mib: int) -> None:
    """Append so many MiB of events, a hundred to a commit, without keys."""
    for _ in range(mib):
        await append(journal, batch(*[arrival(n, body=BODY) for n in range(100)]))


def size(path: Path) -> int:
    return path.stat().st_size


def file_pages(path: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(path)) as database:
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        (free,) = database.execute("PRAGMA freelist_count").fetchone()
    return pages, free


async def low_waters(journal: Journal) -> dict[str, int]:
    saved = await journal.get_states(STATE_PREFIX, Saved)
    return {key.removeprefix(STATE_PREFIX): state.progress.low_water for key, state in saved.items()}


# Removing.


async def test_what_is_removed_is_gone_whole_rows_only_and_the_rest_is_read_on_cleanly(path: Path) -> None:
    async with opened(path) as journal:
        for _ in range(5):
            await append(journal, arrivals(None, None))
        await journal.remove_through(5)
        assert numbers(await read_all(journal)) == [5, 6, 7, 8, 9, 10]
        await journal.remove_through(6)
        page = await journal.read(2, limit=2, max_bytes=1000)
        assert (numbers(page.events), page.read_to) == ([7, 8], 8)
        assert journal.removed_to == 6
    async with opened(path) as journal:
        assert (journal.removed_to, journal.head) == (6, 10)
        await journal.remove_through(10)
        assert numbers((await append(journal, arrivals(None))).stored) == [11]
        assert numbers(await read_all(journal)) == [11]


def test_a_removal_is_done_in_steps_with_commits_between_them(path: Path) -> None:
    store = Store(open_for_writing(path), dedup_window_s=60.0)
    for number in range(3000):
        store.commit([batch(arrival(number))], states={})
    steps = 1
    while not store.remove_before(2900, within_s=STEP_S / 20):
        store.commit([batch(arrival(0))], states={})
        steps += 1
    assert steps > 1
    assert store.removed_to == 2899
    store.checkpoint_and_close()
    with closing(connect(path, mode="ro")) as database:
        left = database.execute("SELECT first_seq FROM chunks ORDER BY first_seq").fetchall()
    assert [first for (first,) in left] == list(range(2900, 3000 + steps))


async def test_a_removal_that_cannot_be_written_says_so_and_works_later(path: Path) -> None:
    async with opened(path) as journal:
        await append(journal, arrivals(None))
        with closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            with pytest.raises(JournalUnavailable, match="locked"):
                await journal.remove_through(1)
        await journal.remove_through(1)
        assert await read_all(journal) == []


async def test_the_last_events_can_go_and_nothing_is_taken_for_a_hole_afterwards(path: Path) -> None:
    async with opened(path) as journal:
        await append(journal, arrivals(None, None))
        await journal.remove_through(2)
    async with opened(path) as journal:
        await append(journal, arrivals(None))
        await append(journal, arrivals(None))
        assert numbers(await read_all(journal)) == [3, 4]
        assert journal.damage is None


# Space.


def test_commits_go_on_while_the_log_is_folded_in_and_it_begins_anew_then(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_fold = threading.Event()

    def connect_later(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        assert may_fold.wait(DEADLINE_S)
        return connect(*args, **kwargs)

    store = Store(open_for_writing(path), dedup_window_s=60.0)
    monkeypatch.setattr(folding, "connect", connect_later)
    monkeypatch.setattr(journal_store, "_CHECKPOINT_FRAMES", 100)
    store.checkpoint()  # the first, which is short

    def commit(n: int) -> None:
        for number in range(n):
            store.commit([batch(arrival(number, body=BODY))], states={})

    while not store.is_checkpoint_due:
        commit(1)
    store.checkpoint()
    before = size(path)
    commit(10)
    assert not store.is_checkpoint_due
    assert size(path) == before
    may_fold.set()
    deadline = time.monotonic() + DEADLINE_S
    while not store.is_checkpoint_due:
        assert time.monotonic() < deadline
    store.checkpoint()
    assert size(path) > before + 10 * len(BODY)
    log_bytes = size(wal_path(path))
    commit(20)
    assert size(wal_path(path)) == log_bytes
    store.checkpoint_and_close()


@pytest.mark.parametrize("commits", [0, 1, 3])
def test_a_fold_begins_no_round_when_the_log_may_be_begun_anew_meanwhile(
    path: Path, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    """Until 3.51.3 SQLite loses commits of the new log then: https://sqlite.org/wal.html#walresetbug."""
    monkeypatch.setattr(journal_store, "_CHECKPOINT_FRAMES", 100)
    store = Store(open_for_writing(path), dedup_window_s=60.0)
    left, rounds = iter(range(commits)), list[str]()

    class Committing(WalGauge):
        """Somebody commits behind each round, and so begins the log anew."""

        @property
        def frames(self) -> int:
            for number in left:
                store.commit([batch(arrival(number, body=BODY))], states={})
                break
            return super().frames

    def traced(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection = connect(*args, **kwargs)
        connection.set_trace_callback(rounds.append)
        return connection

    monkeypatch.setattr(folding, "connect", traced)
    with closing(connect(path, mode="rw")) as other:
        store.commit([batch(arrival(0, body=BODY))], states={})
        gauge = Committing(other)
        monkeypatch.setattr(folding, "threading", Inline)
        folding.Fold(gauge, on_done=lambda: None)
    gauge.close()
    assert len([sql for sql in rounds if "wal_checkpoint" in sql]) == 1
    store.checkpoint_and_close()


class Inline:
    """In place of `threading`: a thread that is over when it has started."""

    class Thread:
        def __init__(self, *, target: Callable[[], None], **_: object) -> None:
            self.start = target


async def test_the_file_is_marked_as_whole_again_also_when_nothing_more_is_committed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_store, "_CHECKPOINT_FRAMES", 50)
    folds = list[folding.Fold]()

    def begun(*args: Any, **kwargs: Any) -> folding.Fold:
        folds.append(folding.Fold(*args, **kwargs))
        return folds[-1]

    monkeypatch.setattr(journal_store, "Fold", begun)
    async with opened(path) as journal:
        while not folds:
            await append(journal, batch(arrival(1, body=BODY)))

        async def is_whole() -> bool:
            with closing(sqlite3.connect(path)) as database:
                return bool(database.execute("SELECT is_whole FROM high_water").fetchone()[0])

        await until(is_whole, what="the file says that it is whole")


async def test_freed_pages_are_given_back_and_the_file_shrinks(path: Path) -> None:
    async with opened(path) as journal:
        await fill(journal, 20)
        await journal.remove_through(journal.head - 100)
        before, free = file_pages(path)
        assert free > before // 2
        await journal.give_back(free)
        pages, free_now = file_pages(path)
        assert pages <= before - free  # pages that tell where others are go, too
        assert free_now == 0
    assert size(path) < 4 * MIB


async def test_a_load_without_end_stays_within_its_limit_and_tells_who_was_left_behind(path: Path) -> None:
    limits = Limits(max_bytes=8 * MIB, max_age_s=3600.0)
    gaps: list[Gap] = []
    async with opened(path) as journal, asyncio.TaskGroup() as tasks:
        saved = Saved(Filters(), Progress(0))
        await journal.save_state(STATE_PREFIX + "slow", saved)
        deliveries = await Deliveries.open(journal, tasks)
        deliveries.on_gap = gaps.append
        keeper = Keeper(journal, deliveries, limits=limits)
        for _ in range(30):
            await fill(journal, 2)
            while await keeper.round():
                pass
            holdings = await journal.holdings()
            assert holdings.used_bytes <= limits.max_bytes
            # The slack: what one round lets grow (2 MiB here), and a sixteenth twice over.
            assert holdings.pages * 4096 <= limits.max_bytes + 4 * MIB
        oldest = (await journal.read(0, limit=1, max_bytes=1)).events[0].seq
        assert oldest == journal.removed_to + 1
        deliveries.close()
    assert {gap.first for gap in gaps} == {1}
    assert gaps[-1].last == oldest - 1
    assert [gap.last for gap in gaps] == sorted({gap.last for gap in gaps})
    assert len(gaps) < 30
    assert size(path) <= limits.max_bytes + 4 * MIB


async def test_what_is_not_acknowledged_outlives_its_age(path: Path) -> None:
    limits = Limits(max_bytes=100 * MIB, max_age_s=10.0)
    async with opened(path) as journal, asyncio.TaskGroup() as tasks:
        for _ in range(4):
            await append(journal, arrivals(None, None))
        await journal.save_state(STATE_PREFIX + "behind", Saved(Filters(), Progress(4)))
        await journal.save_state(STATE_PREFIX + "ahead", Saved(Filters(), Progress(8)))
        deliveries = await Deliveries.open(journal, tasks)
        keeper = Keeper(journal, deliveries, limits=limits, wall_clock=lambda: time.time() + 60)
        await keeper.round()
        assert numbers(await read_all(journal)) == [5, 6, 7, 8]
        assert deliveries.low_water == 4
        deliveries.close()


async def test_without_durable_subscriptions_age_alone_decides(path: Path) -> None:
    limits = Limits(max_bytes=100 * MIB, max_age_s=10.0)
    async with opened(path) as journal, asyncio.TaskGroup() as tasks:
        await append(journal, arrivals(None, None))
        deliveries = await Deliveries.open(journal, tasks)
        await Keeper(journal, deliveries, limits=limits).round()
        assert numbers(await read_all(journal)) == [1, 2]
        await Keeper(journal, deliveries, limits=limits, wall_clock=lambda: time.time() + 60).round()
        assert await read_all(journal) == []


async def test_a_gap_and_the_new_position_are_on_disk_before_the_events_go(path: Path) -> None:
    order: list[str] = []
    async with opened(path) as journal, asyncio.TaskGroup() as tasks:
        await fill(journal, 2)
        await journal.save_state(STATE_PREFIX + "slow", Saved(Filters(), Progress(0)))
        deliveries = await Deliveries.open(journal, tasks)

        def report(gap: Gap) -> None:
            journal.append(batch(arrival(1)), done=lambda _: order.append(f"gap to {gap.last}"))

        deliveries.on_gap = report
        remove = journal._writer.submit_job

        def watched(job: object) -> None:
            order.append("removal asked for")
            remove(job)  # type: ignore[arg-type]

        journal._writer.submit_job = watched  # type: ignore[method-assign]
        await Keeper(journal, deliveries, limits=Limits(max_bytes=MIB, max_age_s=3600)).round()
        assert sorted(order) == ["gap to 200", "removal asked for"]
        assert await low_waters(journal) == {"slow": 200}
        # The writer takes all that waits before it does the upkeep, so the gap was committed first.
        assert journal.removed_to == 200
        assert numbers(await read_all(journal)) == [201]
        deliveries.close()


async def test_gaps_of_one_absence_are_told_as_one_also_over_a_restart(path: Path) -> None:
    gaps: list[tuple[int, int]] = []
    async with opened(path) as journal, asyncio.TaskGroup() as tasks:
        await append(journal, arrivals(*[None] * 12))
        saved = Saved(Filters(), Progress(2, [(6, 6)]))
        await journal.save_state(STATE_PREFIX + "away", saved)
        for through in (4, 6):
            deliveries = await Deliveries.open(journal, tasks)
            deliveries.on_gap = lambda gap: gaps.append((gap.first, gap.last))
            deliveries.skip_through(through)
            deliveries.close()
            await journal.save_state("flush", 1)
        deliveries = await Deliveries.open(journal, tasks)
        deliveries.on_gap = lambda gap: gaps.append((gap.first, gap.last))
        deliveries._subscriptions["away"].window.skip_through(8)  # it was there, and did these
        deliveries.skip_through(10)
        deliveries.close()
    assert gaps == [(3, 4), (3, 6), (9, 10)]


async def test_a_subscription_below_the_oldest_event_is_told_at_the_start(path: Path) -> None:
    gaps: list[Gap] = []

    async def told() -> bool:
        return bool(gaps)

    async with opened(path) as journal, asyncio.TaskGroup() as tasks:
        for _ in range(3):
            await append(journal, arrivals(None, None))
        await journal.save_state(STATE_PREFIX + "behind", Saved(Filters(tenant="acme"), Progress(2)))
        await journal.remove_through(4)
        deliveries = await Deliveries.open(journal, tasks)
        deliveries.on_gap = gaps.append
        limits = Limits(max_bytes=MIB, max_age_s=3600)
        keeper = tasks.create_task(Keeper(journal, deliveries, limits=limits).run())
        await until(told, what="the gap is reported")
        keeper.cancel()
        deliveries.close()
    assert gaps == [Gap("behind", "acme", 3, 4, "retention")]


# The write-ahead log.


async def test_the_log_stays_bounded_under_load_beside_readers_that_follow_each_other(path: Path) -> None:
    async with opened(path) as journal:
        stop = asyncio.Event()

        async def read_without_end() -> None:
            while not stop.is_set():
                await journal.read(0, limit=1000, max_bytes=4 * MIB)

        readers = [asyncio.ensure_future(read_without_end()) for _ in range(4)]
        for _ in range(160):
            await fill(journal, 1)
        stop.set()
        await asyncio.gather(*readers)
        assert size(wal_path(path)) < 128 * MIB


async def test_the_log_begins_anew_after_a_reader_that_held_it_has_gone(path: Path) -> None:
    async with opened(path) as journal:
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM chunks").fetchone()
            await fill(journal, 70)
            grown = size(wal_path(path))
            assert grown > 65 * MIB
        await fill(journal, 70)
        assert size(wal_path(path)) <= 64 * MIB


# Upkeep that fails.


async def test_a_seal_that_keeps_failing_is_told_once_tried_seldom_and_told_again_when_it_works(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dedup, "RUN_KEYS", 4)
    tries = 0
    seal = Store.seal

    def counted(self: Store) -> None:
        nonlocal tries
        tries += 1
        seal(self)

    monkeypatch.setattr(Store, "seal", counted)
    with structlog.testing.capture_logs() as said:
        for settings in (JournalSettings(retry_max_s=3600.0), JournalSettings(retry_max_s=0.0)):
            async with opened(path, settings=settings) as journal:
                await asyncio.to_thread(
                    change,
                    path,
                    "CREATE TRIGGER sick INSERT ON key_runs BEGIN SELECT raise(ABORT, 'no'); END",
                )
                for n in range(10):
                    await append(journal, arrivals(f"{settings.retry_max_s} {n}"))
                assert tries == 1 or not settings.retry_max_s
                tries = 0
                await asyncio.to_thread(change, path, "DROP TRIGGER sick")
                await append(journal, arrivals("now it works"))
    fails = {"event": "journal_upkeep_fails", "log_level": "warning", "what": "seal", "error": "no"}
    works = {"event": "journal_upkeep_works_again", "log_level": "info", "what": "seal"}
    assert said == [fails, fails, works]


async def test_a_checkpoint_that_fails_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Store) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Store, "checkpoint", fails)
    with structlog.testing.capture_logs() as said:
        async with opened(path) as journal:
            await append(journal, arrivals("a"))
    assert [(line["event"], line["what"], line["error"]) for line in said] == [
        ("journal_upkeep_fails", "checkpoint", "disk I/O error")
    ]


def change(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(sql)


# Files of other versions.


def make_version_1(path: Path) -> None:
    """Make a journal as the first release left it."""
    path.touch(mode=0o600)
    with closing(connect(path, mode="rw")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        migrate(connection, version=0, steps=STEPS[:1])
        for number in (1, 2):
            stored = [Stored(number, "bot", "acme", "message.created", None, 1.0, b"\x80")]
            connection.execute(
                "INSERT INTO chunks VALUES (?, ?, 1.0, ?)", (number, number, msgspec.msgpack.encode(stored))
            )
        for table, key in (("seen", "old"), ("recent", "newer")):
            digest = blake2b(f"bot\0{key}".encode(), digest_size=12).digest()
            connection.execute(f"INSERT INTO {table} VALUES (?, 1)", (digest,))  # noqa: S608
        connection.execute(
            "INSERT INTO state VALUES (?, ?)",
            (STATE_PREFIX + "old", msgspec.msgpack.encode(Saved(Filters(), Progress(1)))),
        )


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])


async def test_a_journal_of_version_1_is_brought_forward_and_goes_on(path: Path) -> None:
    await asyncio.to_thread(make_version_1, path)
    async with opened(path) as journal:
        assert version_of(path) == SCHEMA_VERSION
        commit = await append(journal, arrivals("old", "a", "newer"))
        assert (numbers(commit.stored), len(commit.duplicates)) == ([3], 2)
        assert numbers(await read_all(journal)) == [1, 2, 3]
        assert await low_waters(journal) == {"old": 1}
        holdings = await journal.holdings()
        assert holdings.event_bytes == holdings.used_bytes
        await journal.remove_through(2)
        assert (await journal.holdings()).event_bytes < 100
        await journal.give_back(100)  # there is nothing to give back in such a file
    async with opened(path) as journal:
        assert numbers(await read_all(journal)) == [3]


KILLED = """
import os, sys
from pathlib import Path
from longwire.journal import migrations, schema

def dies(connection):
    migrations.STEPS[1](connection)
    connection.execute("CREATE TABLE half (x)")
    connection.execute("INSERT INTO half VALUES (zeroblob(1000000))")
    os.kill(os.getpid(), 9)

connection = schema.connect(Path(sys.argv[1]), mode="rw")
migrations.migrate(connection, version=1, steps=(migrations.STEPS[0], dies))
"""


async def test_a_migration_that_was_killed_in_the_middle_starts_over(path: Path) -> None:
    await asyncio.to_thread(make_version_1, path)
    command = [sys.executable, "-c", KILLED, str(path)]
    done = await asyncio.to_thread(subprocess.run, command, check=False, timeout=DEADLINE_S)
    assert done.returncode == -9
    assert version_of(path) == 1
    async with opened(path) as journal:
        assert numbers(await read_all(journal)) == [1, 2]
    assert version_of(path) == SCHEMA_VERSION


async def test_a_creation_that_was_killed_in_the_middle_leaves_no_journal(path: Path) -> None:
    path.with_name(path.name + ".new").write_bytes(b"half of one")
    async with opened(path) as journal:
        await append(journal, arrivals("a"))
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name]


async def test_commits_go_on_while_much_is_removed_and_given_back(path: Path) -> None:
    async with opened(path) as journal:
        await fill(journal, 60)
        through = journal.head

        async def clean() -> None:
            await journal.remove_through(through)
            await journal.give_back((await journal.holdings()).free_pages)

        cleaning = asyncio.ensure_future(clean())
        commits = 0
        while not cleaning.done():
            await start_append(journal, arrivals(None))
            commits += 1
        await cleaning
        assert commits > 10
        assert numbers(await read_all(journal)) == list(range(through + 1, through + commits + 1))
