"""Scenarios E2 and E6, backup and retention: the installed command, real processes, real disks."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.longwire import Longwire, lark
from harness.processes import COMMAND
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.injections import LarkEvent

APP = "cli_00000000000000aa"
EVENTS = 300
MIB = 1024 * 1024

PAGE = 8192
LEAF = 0x0D
"""First byte of a page with rows of a table: https://www.sqlite.org/fileformat2.html#b_tree_pages."""


def journal_of(longwire: Longwire) -> Path:
    return longwire.folder / "var" / "journal.sqlite3"


def sizes(longwire: Longwire) -> tuple[int, int]:
    """Return the bytes of the journal and of its log."""
    path = journal_of(longwire)
    wal = path.with_name(path.name + "-wal")
    return path.stat().st_size, wal.stat().st_size if wal.exists() else 0


async def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run the command to its end; return exit code and output."""
    done = await asyncio.to_thread(
        subprocess.run, [COMMAND, *arguments], cwd=folder, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


async def read(longwire: Longwire, name: str, count: int, **how: Any) -> list[int]:
    """Read and acknowledge so many messages; return their numbers in the journal."""
    seqs: list[int] = []
    subscription = longwire.client.subscribe(name, start="all", types=["message.created"], credit=500, **how)
    async with asyncio.timeout(60):
        async for event in subscription:
            seqs.append(event.seq or 0)
            await event.ack()
            if len(seqs) == count:
                break
    return seqs


async def filled(longwire: Longwire, *, is_clean: bool = True) -> list[int]:
    """Run a supervisor until it has some events; return their numbers."""
    # At a rate, so that there are many commits.
    account = {"connector": "loopback", "rate_per_s": 500, "count": EVENTS, "size_bytes": 900}
    longwire.configure({"bot": account})
    await longwire.start()
    seqs = await read(longwire, "reader", EVENTS)
    if is_clean:
        await longwire.stop()
    else:
        await longwire.kill()
    longwire.configure({})
    return seqs


async def refused(longwire: Longwire, *words: str) -> None:
    """See that `run` refuses the journal, says what to do, and leaves the file as it is."""
    before = journal_of(longwire).read_bytes()
    code, text = await run(longwire.folder, "run")
    assert code == 78, text
    assert "Traceback" not in text
    for word in ("supervisor.data_dir", str(journal_of(longwire)), *words):
        assert word in text
    assert journal_of(longwire).read_bytes() == before


# E6.


async def test_e6_a_newer_journal_is_refused_by_an_older_longwire(longwire: Longwire) -> None:
    """A journal of another version is left as it is.

    Alone: there is no journal.
    """
    await filled(longwire)
    with closing(sqlite3.connect(journal_of(longwire))) as database:
        database.execute("PRAGMA user_version = 4000")
    await refused(longwire, "newer Longwire")


async def test_e6_after_a_kill_everything_is_there(longwire: Longwire) -> None:
    """A -wal left by a crash is read.

    Alone: there is no journal.
    """
    seqs = await filled(longwire, is_clean=False)
    assert sizes(longwire)[1] > 0
    await longwire.start()
    assert await read(longwire, "again", EVENTS) == seqs


async def test_e6_a_damaged_page_that_retention_needs_is_told_and_backup_says_what_to_do(
    longwire: Longwire, tmp_path: Path
) -> None:
    """Damage where old events are removed.

    Alone: there is no journal.
    """
    await filled(longwire)
    page = await asyncio.to_thread(page_of_events, journal_of(longwire))
    with journal_of(longwire).open("r+b") as file:
        file.seek(page)
        file.write(os.urandom(PAGE))
    code, text = await run(longwire.folder, "backup", str(tmp_path / "backup.sqlite3"))
    assert (code, "longwire recover" in text) == (78, True), text
    longwire.configure({}, journal_max_age_s=1.0)
    await longwire.start()

    async def is_told() -> bool:
        told = (await longwire.status())["supervisor"]
        return told["state"] == "degraded" and "old events cannot be removed" in told["reason"]

    await until(is_told, what="the supervisor says that nothing can be removed")


def page_of_events(journal: Path) -> int:
    """Return where a page begins that holds rows of events, neither the first nor the last."""
    data = journal.read_bytes()
    leaves = [at for at in range(0, len(data), PAGE) if data[at] == LEAF]
    pages = [at for at in leaves if b"message.created" in data[at : at + PAGE]]
    return pages[len(pages) // 2]


async def test_e6_a_truncated_journal_is_refused_and_what_is_left_can_be_saved(longwire: Longwire) -> None:
    """A file that ends too early.

    Alone: there is no journal.
    """
    seqs = await filled(longwire)
    os.truncate(journal_of(longwire), journal_of(longwire).stat().st_size - 3 * 4096)
    await refused(longwire, "longwire recover", "backup")
    code, text = await run(longwire.folder, "recover", "--json")
    assert code == 0, text
    report = json.loads(text)
    assert report["damaged"] == str(journal_of(longwire)) + ".damaged-1"
    await longwire.start()
    status = await longwire.status()
    assert status["supervisor"]["last_seq"] >= report["last_seq"] + 1_000_000
    assert report["rows"] > 0
    expected = [seq for seq in seqs if seq <= report["last_seq"]]
    expected = [seq for seq in expected if not any(a <= seq <= b for a, b in report["gaps"])]
    assert await read(longwire, "again", len(expected)) == expected


@pytest.mark.parametrize("data", [b"", b"garbage" * 5000, bytes(40960)], ids=["empty", "garbage", "zeros"])
async def test_e6_what_is_no_journal_is_refused(longwire: Longwire, data: bytes) -> None:
    """A file of something else.

    Alone: there is no journal.
    """
    await filled(longwire)
    journal_of(longwire).write_bytes(data)
    await refused(longwire)
    code, text = await run(longwire.folder, "recover")
    assert code == 78, text
    assert journal_of(longwire).read_bytes() == data


async def test_e6_a_missing_log_is_refused(longwire: Longwire) -> None:
    """A -wal that somebody removed.

    Alone: there is no journal.
    """
    await filled(longwire, is_clean=False)
    journal_of(longwire).with_name("journal.sqlite3-wal").unlink()
    await refused(longwire, "-wal is missing", "longwire recover")


async def test_e6_a_flipped_bit_in_an_event_is_skipped_told_and_shown(longwire: Longwire) -> None:
    """One damaged event costs itself and no other.

    Alone: there is no journal.
    """
    seqs = await filled(longwire)
    with closing(sqlite3.connect(journal_of(longwire))) as database, database:
        first, last = database.execute(
            "SELECT first_seq, last_seq FROM chunks WHERE last_seq > 100 ORDER BY first_seq LIMIT 1"
        ).fetchone()
        (body,) = database.execute("SELECT events FROM chunks WHERE first_seq = ?", (first,)).fetchone()
        flipped = body[:500] + bytes([body[500] ^ 4]) + body[501:]
        database.execute("UPDATE chunks SET events = ? WHERE first_seq = ?", (flipped, first))
    await longwire.start()
    sound = [seq for seq in seqs if not first <= seq <= last]
    assert await read(longwire, "again", len(sound)) == sound
    supervisor = (await longwire.status())["supervisor"]
    assert supervisor["state"] == "degraded"
    assert f"events {first} to {last} of the journal are damaged" in supervisor["reason"]
    arguments = ("events", "tail", "--from", "all", "--type", "subscription.gap", "--count", "1", "--json")
    code, text = await run(longwire.folder, *arguments)
    assert (code, json.loads(text)["raw"]) == (
        0,
        {"subscription": "again", "from": first, "to": last, "reason": "damage"},
    )
    assert longwire.log_events("subscription_gap")[0]["level"] == "warning"


async def test_recover_wants_the_supervisor_stopped(longwire: Longwire) -> None:
    longwire.configure({})
    await longwire.start()
    code, text = await run(longwire.folder, "recover")
    assert (code, "already uses" in text) == (75, True)


# Backup.


async def test_a_backup_under_load_is_a_journal_up_to_its_head(longwire: Longwire, tmp_path: Path) -> None:
    longwire.configure({"bot": {"connector": "loopback", "rate_per_s": 3000, "size_bytes": 500}})
    await longwire.start()
    early = await read(longwire, "reader", 2000)
    target = tmp_path / "backup.sqlite3"
    code, text = await run(longwire.folder, "backup", str(target), "--json")
    assert code == 0, text
    report = json.loads(text)
    assert report["last_seq"] >= early[-1]
    assert target.stat().st_mode & 0o777 == 0o600
    code, text = await run(longwire.folder, "backup", str(target))
    assert (code, "--force" in text) == (64, True)
    code, text = await run(longwire.folder, "backup", str(target), "--force", "--json")
    assert code == 0, text
    report = json.loads(text)
    await longwire.stop()

    shutil.rmtree(longwire.folder / "var")
    (longwire.folder / "var").mkdir(mode=0o700)
    target.rename(journal_of(longwire))
    longwire.configure({"other": {"connector": "loopback", "rate_per_s": 100, "count": 5}})
    await longwire.start()
    events = longwire.client.subscribe(start="all", credit=1000)
    seqs: list[int] = []
    fresh: list[int] = []
    async with asyncio.timeout(60):
        while len(fresh) < 5:
            event = await anext(events)
            await event.ack()
            seqs.append(event.seq or 0)
            if event.account == "other" and event.type == "message.created":
                fresh.append(event.seq or 0)
    assert seqs == sorted(set(seqs))
    assert set(early) <= set(seqs)
    assert max(seq for seq in seqs if seq <= report["last_seq"]) == report["last_seq"]
    assert min(fresh) > report["last_seq"]


async def test_a_backup_without_a_supervisor_works_and_without_a_journal_says_so(
    longwire: Longwire, tmp_path: Path
) -> None:
    longwire.configure({})
    code, text = await run(longwire.folder, "backup", str(tmp_path / "backup.sqlite3"))
    assert (code, "there is no journal" in text) == (78, True)
    seqs = await filled(longwire)
    code, text = await run(longwire.folder, "backup", str(tmp_path / "backup.sqlite3"), "--json")
    assert (code, json.loads(text)["last_seq"] >= seqs[-1]) == (0, True)
    code, text = await run(longwire.folder, "backup", str(journal_of(longwire)), "--force")
    assert code == 64, text
    code, text = await run(longwire.folder, "backup", str(tmp_path / "no" / "folder"))
    assert code == 75, text


# Retention.


async def test_a_reader_that_is_away_loses_the_oldest_only_at_the_limit_and_is_told(
    longwire: Longwire,
) -> None:
    account = {"connector": "loopback", "rate_per_s": 4000, "size_bytes": 2000, "ids": "sequential"}
    longwire.configure({"bot": account}, journal_max_bytes=8 * MIB)
    await longwire.start()
    away = longwire.client.subscribe("away", start="all", credit=1)
    await away.open()
    await anext(away)
    await away.close()

    async def told() -> list[dict[str, Any]]:
        return longwire.log_events("subscription_gap")

    await until(told, what="the subscription loses events")

    async def third() -> bool:
        return len(longwire.log_events("subscription_gap")) >= 3

    await until(third, what="it goes on losing some")
    main, wal = sizes(longwire)
    # A round's growth (about 9 MiB at 4,000 events/s, more where a round is late), and the log.
    assert main < 8 * MIB + 24 * MIB
    assert wal < 64 * MIB
    removed_to = (await longwire.status())["supervisor"]["removed_to"]
    again = longwire.client.subscribe("away", start="all", credit=10)
    async with asyncio.timeout(30):
        event = await anext(again)
    assert (event.seq or 0) > removed_to
    gaps = await told()
    assert {gap["first"] for gap in gaps} == {1}  # one absence, however long
    assert all(one["last"] < two["last"] for one, two in pairwise(gaps))


# E2: the disk is full.


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB, where that is allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    try:
        is_mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        is_mounted = False
    if not is_mounted:
        pytest.skip("a file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def held_back_and_released(simulator: Simulator, longwire: Longwire, *, full: Any, again: Any) -> None:
    """Let events come while the disk takes nothing, then while it does."""
    await longwire.until_online()
    subscription = longwire.client.subscribe("reader", start="all", types=["message.created"])
    await subscription.open()
    await simulator.inject_lark(LarkEvent(app=APP, text="before"))
    async with asyncio.timeout(30):
        await (await anext(subscription)).ack()
    full()
    await simulator.inject_lark(LarkEvent(app=APP, text="{n}", count=20))

    async def degraded() -> bool:
        supervisor = (await longwire.status())["supervisor"]
        return bool(supervisor["state"] == "degraded" and "commits fail" in supervisor["reason"])

    await until(degraded, what="the supervisor says that it cannot commit, and why")
    assert (await simulator.app_state("lark", APP)).acked == 1
    again()
    texts: list[str] = []
    async with asyncio.timeout(60):
        while len(texts) < 20:
            event = await anext(subscription)
            texts.append(event.text or "")
            await event.ack()
    assert texts == [str(n) for n in range(20)]

    async def well() -> bool:
        return bool((await longwire.status())["supervisor"]["state"] == "ok")

    await until(well, what="it goes on by itself")


async def test_e2_a_file_that_may_not_grow_holds_back_acks_until_it_may(
    simulator: Simulator, longwire: Longwire
) -> None:
    """A limit on the journal's size while it is written.

    Alone: by its code, nothing is stored, and the ack leaves as soon as the handler returns.
    """
    longwire.configure({"bot": lark(simulator.url, APP)})
    await longwire.start()
    process = psutil.Process(longwire.program.pid)
    _, hard = process.rlimit(psutil.RLIMIT_FSIZE)

    def full() -> None:
        process.rlimit(psutil.RLIMIT_FSIZE, (0, hard))  # not even the log takes a line now

    await held_back_and_released(
        simulator,
        longwire,
        full=full,
        again=lambda: process.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard)),
    )
    assert longwire.log_events("journal_writes_again")


async def test_e2_a_full_disk_holds_back_acks_until_there_is_room(
    simulator: Simulator, longwire: Longwire, small_disk: Path
) -> None:
    """A file system without room.

    Alone: by its code, nothing is stored, and the ack leaves as soon as the handler returns.
    """
    longwire.configure(
        {"bot": lark(simulator.url, APP)}, data_dir=str(small_disk), endpoint=longwire.endpoint
    )
    (longwire.folder / "var").mkdir(mode=0o700)
    await longwire.start()
    filler = small_disk / "filler"

    def full() -> None:
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    await held_back_and_released(simulator, longwire, full=full, again=filler.unlink)
    assert "full" in longwire.log_events("journal_in_trouble")[0]["reason"]
    await longwire.close()
