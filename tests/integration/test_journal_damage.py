"""A damaged journal: it goes on, or is refused; what it gives is what was written, or is called lost."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest

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
)
from longwire.deliveries import STATE_PREFIX, Saved
from longwire.delivery import Filters, Progress
from longwire.journal import Arrivals, Journal, JournalDamaged, JournalUnavailable, Stored
from longwire.journal.checksums import Damaged
from longwire.journal.copying import salvage
from longwire.journal.recovery import recover
from longwire.journal.schema import connect, open_for_writing
from longwire.journal.store import Store
from longwire.journal.wal import shm_path, wal_frames, wal_path
from longwire_protocol.errors import ConfigError

PAGE = 8192
COMMITS, EACH, SIZE = 12, 10, 600


def filling(commit: int) -> Arrivals:
    """Ten events of a commit, whose bodies tell their numbers."""
    bodies = (b"%08d" % (commit * EACH + n) * (SIZE // 8) for n in range(1, EACH + 1))
    return batch(*[arrival(n, f"key {commit} {n}", body=body) for n, body in enumerate(bodies)])


async def make(path: Path) -> None:
    """Make a journal of some rows, keys and states, closed properly."""
    async with opened(path) as journal:
        for commit in range(COMMITS):
            await append(journal, filling(commit))
        for n in range(5):
            await journal.save_state(f"{STATE_PREFIX}{n}", Saved(Filters(), Progress(n)))
        await journal.next_incarnation("bot")


def expected(seq: int) -> bytes:
    return b"%08d" % seq * (SIZE // 8)


async def read_with_gaps(journal: Journal) -> tuple[list[Stored], list[tuple[int, int]]]:
    """Read everything, as a subscription does."""
    events: list[Stored] = []
    gaps: list[tuple[int, int]] = []
    position = 0
    while position < journal.head:
        try:
            page = await journal.read(position, limit=7, max_bytes=2**30)
        except JournalDamaged as exc:
            gaps.append((exc.first, exc.last))
            position = exc.last
        else:
            assert page.read_to > position
            events += page.events
            position = page.read_to
    assert all(first <= last for first, last in gaps)
    return events, gaps


async def survey(path: Path) -> str:
    """Open a journal that may be damaged and check that it tells nothing wrong; return what became of it."""
    try:
        journal = await Journal.open(path)
    except ConfigError:
        return "refused"
    try:
        events, gaps = await read_with_gaps(journal)
        states = await journal.get_states(STATE_PREFIX, Saved)
    except JournalUnavailable:
        return "unreadable"
    finally:
        await journal.close()
    assert {event.body for event in events} <= {expected(seq) for seq in range(1, COMMITS * EACH + 1)}
    assert all(event.body == expected(event.seq) for event in events)
    lost = {seq for first, last in gaps for seq in range(first, last + 1)}
    assert {event.seq for event in events}.isdisjoint(lost)
    assert {event.seq for event in events} | lost == set(range(1, COMMITS * EACH + 1))
    assert {key: state.progress.low_water for key, state in states.items()} == {
        f"{STATE_PREFIX}{n}": n for n in range(5)
    }
    return "went on with a gap" if gaps else "went on"


async def test_a_sound_journal_goes_on(path: Path) -> None:
    await make(path)
    assert await survey(path) == "went on"


def dice_of(seed: str) -> random.Random:
    return random.Random(seed)  # noqa: S311  # the same each time


def damaged_pages(whole: bytes, how: str, dice: random.Random) -> Iterator[bytes]:
    """Give the file with one page after the other damaged."""
    for start in range(0, len(whole), PAGE):
        page = bytearray(whole[start : start + PAGE])
        match how:
            case "bit":
                page[dice.randrange(PAGE)] ^= 1 << dice.randrange(8)
            case "head":  # where a page says what it is, how many cells it has, where they are
                page[dice.randrange(100 if start == 0 else 16)] ^= 1 << dice.randrange(8)
            case "zeros":
                page[:] = bytes(PAGE)
            case _:
                page[:] = dice.randbytes(PAGE)
        yield whole[:start] + bytes(page) + whole[start + PAGE :]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("how", ["bit", "head", "zeros", "noise"])
async def test_e6_a_damaged_page_anywhere_is_refused_or_named_never_silently_wrong(
    path: Path, how: str, seed: int
) -> None:
    await make(path)
    whole = await asyncio.to_thread(path.read_bytes)
    outcomes: dict[str, int] = {}
    for data in damaged_pages(whole, how, dice_of(f"{how} {seed}")):
        for file in (wal_path(path), shm_path(path)):
            file.unlink(missing_ok=True)
        await asyncio.to_thread(path.write_bytes, data)
        outcome = await survey(path)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert set(outcomes) <= {"refused", "went on", "went on with a gap", "unreadable"}
    assert outcomes.get("refused", 0) + outcomes.get("went on with a gap", 0) > 0, outcomes
    if how in {"zeros", "noise"}:
        assert outcomes["went on with a gap"] > 5
        assert outcomes["refused"] > 5


async def test_e6_a_truncated_file_is_refused_and_left_as_it_is(path: Path) -> None:
    await make(path)
    whole = await asyncio.to_thread(path.read_bytes)
    for size in [0, 1, 99, 100, *range(PAGE // 2, len(whole), 5 * PAGE // 2), len(whole) - 1]:
        await asyncio.to_thread(path.write_bytes, whole[:size])
        with pytest.raises(ConfigError, match=r"recover|backup"):
            await Journal.open(path)
        assert await asyncio.to_thread(path.read_bytes) == whole[:size]


async def test_events_that_were_cut_off_are_named_and_an_emptied_file_is_called_empty(
    path: Path,
) -> None:
    await make(path)
    whole = await asyncio.to_thread(path.read_bytes)
    lost = set[tuple[int, int]]()
    for size in range(len(whole) - PAGE, 2 * PAGE, -PAGE):
        await asyncio.to_thread(path.write_bytes, whole[:size])
        try:
            copy = await asyncio.to_thread(salvage, path, path.with_name("saved.db"))
        except (Damaged, ConfigError, sqlite3.Error):
            continue
        lost.update(copy.gaps)
        is_named = copy.gaps[-1:] == [(copy.last_seq + 1, COMMITS * EACH)]
        assert copy.last_seq == COMMITS * EACH or is_named or "high_water" in copy.damaged_tables
    assert lost
    await asyncio.to_thread(path.write_bytes, b"")
    with pytest.raises(ConfigError, match="is empty"):
        await asyncio.to_thread(salvage, path, path.with_name("saved.db"))


# The write-ahead log.


async def crash(path: Path, folder: Path) -> Path:
    """Make a journal and return a copy as a SIGKILL would leave it: all in the log, but for the schema."""
    async with opened(path) as journal:
        for commit in range(COMMITS):
            await append(journal, filling(commit))
        for n in range(5):
            await journal.save_state(f"{STATE_PREFIX}{n}", Saved(Filters(), Progress(n)))
        return await asyncio.to_thread(left_behind, path, folder)


def left_behind(path: Path, folder: Path) -> Path:
    folder.mkdir()
    for file in (path, wal_path(path)):
        shutil.copy(file, folder / file.name)
    return folder / path.name


async def test_e6_a_log_left_by_a_crash_is_folded_in(path: Path, tmp_path: Path) -> None:
    assert await survey(await crash(path, tmp_path / "crashed")) == "went on"


async def test_e6_a_missing_log_is_refused(path: Path, tmp_path: Path) -> None:
    crashed = await crash(path, tmp_path / "crashed")
    wal_path(crashed).unlink()
    with pytest.raises(ConfigError, match="-wal is missing"):
        await Journal.open(crashed)
    copy, aside = await asyncio.to_thread(recover, crashed)
    assert aside.exists()
    async with opened(crashed) as journal:
        assert (journal.head, copy.last_seq) == (10 + 1_000_000, 10)


async def test_a_log_that_another_program_folded_in_is_not_missed(path: Path, tmp_path: Path) -> None:
    crashed = await crash(path, tmp_path / "crashed")
    with closing(sqlite3.connect(crashed)) as other:
        other.execute("SELECT count(*) FROM chunks").fetchone()
    assert not wal_path(crashed).exists()
    assert await survey(crashed) == "went on"


async def test_e6_a_flipped_bit_in_the_log_is_refused_unless_nothing_was_lost_by_it(
    path: Path, tmp_path: Path
) -> None:
    crashed = await crash(path, tmp_path / "crashed")
    log = await asyncio.to_thread(wal_path(crashed).read_bytes)
    main = await asyncio.to_thread(crashed.read_bytes)
    dice = dice_of("log")
    outcomes = set[str]()
    for start in range(32, len(log) - 3 * (PAGE + 24), PAGE + 24):
        damaged = bytearray(log)
        damaged[start + dice.randrange(PAGE + 24)] ^= 1 << dice.randrange(8)
        await asyncio.to_thread(wal_path(crashed).write_bytes, damaged)
        shm_path(crashed).unlink(missing_ok=True)
        outcomes.add(await survey(crashed))
        await asyncio.to_thread(crashed.write_bytes, main)
    assert outcomes == {"refused"}
    assert await asyncio.to_thread(wal_path(crashed).exists)


async def test_events_behind_the_damage_of_a_log_are_saved_too(path: Path, tmp_path: Path) -> None:
    crashed = await crash(path, tmp_path / "crashed")
    log = bytearray(await asyncio.to_thread(wal_path(crashed).read_bytes))
    log[len(log) // 2] ^= 1
    await asyncio.to_thread(wal_path(crashed).write_bytes, log)
    with pytest.raises(ConfigError, match="-wal"):
        await Journal.open(crashed)
    copy, aside = await asyncio.to_thread(recover, crashed)
    assert copy.rows >= COMMITS - 1
    assert copy.last_seq == COMMITS * EACH
    assert await asyncio.to_thread(wal_path(aside).read_bytes) == log
    async with opened(crashed) as journal:
        assert len(await read_all(journal)) >= EACH


async def test_a_commit_that_a_crash_tore_is_no_damage(path: Path, tmp_path: Path) -> None:
    crashed = await crash(path, tmp_path / "crashed")
    log = bytearray(await asyncio.to_thread(wal_path(crashed).read_bytes))
    log[-PAGE // 2] ^= 1  # in the last frame: the commit was never reported
    await asyncio.to_thread(wal_path(crashed).write_bytes, log)
    async with opened(crashed) as journal:
        assert len(await read_all(journal)) == COMMITS * EACH


async def test_what_crashes_in_a_row_tear_in_one_place_is_no_damage(path: Path, tmp_path: Path) -> None:
    crashed = await crash(path, tmp_path / "crashed")
    for n in range(3):
        crashed = await asyncio.to_thread(tear_and_go_on, crashed, tmp_path / f"crashed {n}", 20 + n)
    async with opened(crashed) as journal:
        assert len(await read_all(journal)) >= COMMITS * EACH


def tear_and_go_on(crashed: Path, folder: Path, commit: int) -> Path:
    """Tear the last commit, write one more, and return what the next crash leaves."""
    log = bytearray(wal_path(crashed).read_bytes())
    log[frame_of_last_commit(log) + 100] ^= 1  # its first frame was not written whole, its last one was
    wal_path(crashed).write_bytes(log)
    shm_path(crashed).unlink(missing_ok=True)
    store = Store(open_for_writing(crashed), dedup_window_s=60.0)
    store.commit([filling(commit)], states={})
    left = left_behind(crashed, folder)
    store.checkpoint_and_close()
    return left


def frame_of_last_commit(log: bytes) -> int:
    """Return where the first frame of the last commit begins."""
    frames = list(wal_frames(BytesIO(log)))
    ends = [n for n, frame in enumerate(frames) if frame.is_end]
    return frames[ends[-2] + 1].position


async def test_a_main_file_without_its_name_is_not_replaced_by_an_empty_one(
    path: Path, tmp_path: Path
) -> None:
    crashed = await crash(path, tmp_path / "crashed")
    crashed.unlink()
    with pytest.raises(ConfigError, match="missing"):
        await Journal.open(crashed)
    assert not crashed.exists()


# Damage while it runs.


def spoil(path: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(path, timeout=5)) as database, database:
        database.execute(sql, values)


async def test_a_row_that_is_damaged_is_skipped_and_named_and_commits_go_on(path: Path) -> None:
    async with opened(path) as journal:
        for commit in range(4):
            await append(journal, filling(commit))
        spoil(path, "UPDATE chunks SET events = x'c1' WHERE first_seq = 11")
        spoil(path, "DELETE FROM chunks WHERE first_seq IN (1, 31)")
        await append(journal, filling(5))
        events, gaps = await read_with_gaps(journal)
        assert gaps == [(1, 20), (31, 40)]
        assert numbers(events) == [*range(21, 31), *range(41, 51)]
        assert journal.damage is not None
        await journal.remove_through(40)
        assert journal.damage is None


async def test_damage_is_found_from_whatever_position_one_reads(path: Path) -> None:
    async with opened(path) as journal:
        for commit in range(4):
            await append(journal, filling(commit))
        spoil(path, "DELETE FROM chunks WHERE first_seq = 11")
        spoil(path, "UPDATE chunks SET last_seq = 35 WHERE first_seq = 31")
        await append(journal, filling(4))
        for after, gap in ((10, (11, 20)), (12, (13, 20)), (30, (31, 40)), (33, (34, 40))):
            with pytest.raises(JournalDamaged) as caught:
                await journal.read(after, limit=100, max_bytes=2**20)
            assert (caught.value.first, caught.value.last) == gap
        assert (await journal.read(20, limit=100, max_bytes=2**20)).events[0].seq == 21


async def test_damaged_numbers_of_a_row_do_not_keep_retention_from_ending(path: Path) -> None:
    async with opened(path) as journal:
        for commit in range(4):
            await append(journal, filling(commit))
        spoil(path, "UPDATE chunks SET last_seq = -5 WHERE first_seq = 1")
        spoil(path, "UPDATE chunks SET last_seq = 4000 WHERE first_seq = 11")
        rows = (await journal.holdings()).rows
        assert [row.last_seq for row in rows] == [1, 20, 30, 40]
        await journal.remove_through(20)
        assert numbers(await read_all(journal)) == [*range(21, 41)]


# Recovering.


def test_everything_sound_is_saved_and_the_damaged_file_is_kept(path: Path) -> None:
    asyncio.run(make(path))
    spoil(path, "UPDATE chunks SET events = x'c1' WHERE first_seq = 21")
    spoil(path, "UPDATE state SET value = x'01' WHERE key = ?", f"{STATE_PREFIX}3")
    before = path.read_bytes()
    copy, aside = recover(path)
    assert aside.read_bytes() == before
    assert (copy.rows, copy.gaps) == (COMMITS - 1, [(21, 30)])
    assert copy.lost_states == [f"{STATE_PREFIX}3"]
    assert path.stat().st_mode & 0o777 == 0o600
    _, again = recover(path)
    assert aside != again

    async def look() -> None:
        async with opened(path) as journal:
            await append(journal, batch(arrival(1, "key 0 1")))  # known: it is a duplicate
            await append(journal, arrivals("new"))
            events, gaps = await read_with_gaps(journal)
            assert gaps[0] == (21, 30)
            assert gaps[1][0] == COMMITS * EACH + 1
            assert events[-1].seq == gaps[1][1] + 1 > 1_000_000
            assert len(events) == (COMMITS - 1) * EACH + 1
            states = await journal.get_states(STATE_PREFIX, Saved)
            assert [key.removeprefix(STATE_PREFIX) for key in states] == ["0", "1", "2", "4"]

    asyncio.run(look())


@pytest.mark.parametrize("how", ["zeros", "noise", "bit", "head"])
def test_whatever_page_is_damaged_what_is_recovered_is_sound(path: Path, how: str) -> None:
    asyncio.run(make(path))
    whole = path.read_bytes()
    recovered = 0
    for data in damaged_pages(whole, how, dice_of(how)):
        for file in path.parent.glob("journal.db*"):
            file.unlink()
        path.write_bytes(data)
        try:
            copy, _ = recover(path)
        except ConfigError:
            assert path.read_bytes() == data
            continue
        recovered += 1
        with closing(connect(path, mode="ro")) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert copy.rows > COMMITS // 2
        assert asyncio.run(survey_recovered(path)) > 0
    assert recovered > len(whole) // PAGE * 0.8


async def survey_recovered(path: Path) -> int:
    async with opened(path) as journal:
        await append(journal, filling(COMMITS + 1))
        events, _ = await read_with_gaps(journal)
        sound = [event for event in events if event.seq <= COMMITS * EACH]
        assert all(event.body == expected(event.seq) for event in sound)
        assert numbers(events)[-EACH:] == list(range(journal.head - EACH + 1, journal.head + 1))
        return len(sound)


def test_of_a_file_that_was_cut_off_what_is_left_is_saved(path: Path) -> None:
    asyncio.run(make(path))
    whole = path.read_bytes()
    saved: list[int] = []
    for pages in range(len(whole) // PAGE - 1, len(whole) // PAGE // 2, -1):
        for file in path.parent.glob("journal.db*"):
            file.unlink()
        path.write_bytes(whole[: pages * PAGE])
        try:
            saved.append(recover(path)[0].rows)
        except ConfigError:
            continue
        assert asyncio.run(survey_recovered(path)) == saved[-1] * EACH
    assert len(saved) > len(whole) // PAGE // 4
    assert max(saved) >= COMMITS - 2


KILLED = """
import os, sys
from pathlib import Path
from longwire.journal.recovery import recover

left = int(sys.argv[2])

def dies(event, _):
    global left
    if event in {"os.link", "os.rename", "os.remove"}:
        if not left:
            os.kill(os.getpid(), 9)
        left -= 1

sys.addaudithook(dies)
recover(Path(sys.argv[1]))
"""


def is_killed_recovering(path: Path, *, after: int) -> bool:
    """Have `recover` killed after so many changes in the folder; false if it makes no more than these."""
    command = [sys.executable, "-c", KILLED, str(path), str(after)]
    code = subprocess.run(command, check=False, timeout=DEADLINE_S).returncode
    assert code in {0, -9}
    return code == -9


def test_a_recovery_that_was_killed_anywhere_loses_nothing_at_the_next_try(
    path: Path, tmp_path: Path
) -> None:
    crashed = asyncio.run(crash(path, tmp_path / "crashed"))
    halves = 0
    for after in range(20):
        killed = left_behind(crashed, tmp_path / str(after))
        if not is_killed_recovering(killed, after=after):
            break
        if any(aside.samefile(killed) for aside in killed.parent.glob("*.damaged-1")):
            halves += 1
            with pytest.raises(ConfigError, match="interrupted"):
                asyncio.run(Journal.open(killed))
        is_killed_recovering(killed, after=after)
        copy, _ = recover(killed)
        assert (copy.last_seq, copy.gaps) == (COMMITS * EACH, [])
        assert len(asyncio.run(read_recovered(killed))) == COMMITS * EACH
    assert halves > 1


async def read_recovered(path: Path) -> list[Stored]:
    async with opened(path) as journal:
        return await read_all(journal)


def test_a_file_of_which_nothing_can_be_read_is_left_as_it_is(path: Path) -> None:
    path.write_bytes(b"This is not a database. " * 1000)
    with pytest.raises(ConfigError, match="backup"):
        recover(path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
