"""Half an hour at 2,000 events/s with one subscriber stopped: memory flat, disk bounded, nothing killed."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from statistics import fmean

import msgspec
import psutil
import pytest

from chaos.reader import CountingReader
from harness.longwire import Longwire
from harness.waiting import DEADLINE_S, until

SOAK_S = float(os.environ.get("LONGWIRE_SOAK_S", "1800"))
EARLY, LATE = (3 / 30, 8 / 30), (25 / 30, 1.0)
"""Minutes 3 to 8 and the last 5 of 30; the same shares of another length."""

FLATNESS = 0.10
ACCOUNTS, RATE_PER_S = 4, 500

TEXT_BYTES = 200
"""Of each event's text; about 900 bytes in the journal."""

MIB = 1024 * 1024
JOURNAL_MAX_BYTES = 256 * MIB
"""Some two minutes of events, so that retention takes away most of what the stopped one has not read."""

DISK_BYTES = JOURNAL_MAX_BYTES * 9 // 8 + 64 * MIB + 4 * MIB
"""With an eighth that may be free in the file, the write-ahead log, and what arrives in a second
(docs/operations.md, «Disk use»)."""

CATCH_UP_S = 900.0
_LOOK_S = 1.0
_SHOW_S = 60.0


class Look(msgspec.Struct, frozen=True):
    """What is seen at one moment."""

    at_s: float
    rss_mib: float
    children_pss_mib: float
    journal_mib: float
    wal_mib: float
    head: int
    reading_lag: int
    stopped_lag: int
    status_ms: float
    """How long the supervisor took to say all this: what its loop is late, and more."""
    p50_ms: float
    p99_ms: float
    """From a child's clock to the reading subscriber, of its newest 2,000 events."""


@pytest.mark.soak
@pytest.mark.timeout(SOAK_S + CATCH_UP_S + 120)
async def test_two_thousand_events_a_second_with_one_stopped_leave_memory_flat_and_the_disk_bounded(
    longwire: Longwire, show: Callable[[str], None]
) -> None:
    account = {"connector": "loopback", "rate_per_s": RATE_PER_S, "chats": 20, "size_bytes": TEXT_BYTES}
    floods = {f"flood-{n}": account for n in range(ACCOUNTS)}
    longwire.configure(floods, journal_max_bytes=JOURNAL_MAX_BYTES)
    await longwire.start()
    await longwire.until_online()
    before = await pids(longwire)
    reading = CountingReader(longwire.endpoint, "reading", longwire.folder)
    stopped = CountingReader(longwire.endpoint, "stopped", longwire.folder)
    async with reading, stopped:
        await stopped.until_events(1, deadline_s=DEADLINE_S)
        stopped.program.send(signal.SIGSTOP)
        looks = await soak(longwire, reading, stopped, show)
        assert (await pids(longwire), longwire.log_events("child_hung")) == (before, [])
        for name in longwire.accounts:
            await longwire.client.call("account.stop", account=name)
            await longwire.until_state(name, "stopped")
        head = (await longwire.status())["supervisor"]["last_seq"]
        stopped.program.send(signal.SIGCONT)
        await until_read(reading, head)
        await until_read(stopped, head)
        early, late = (mean_rss_mib(looks, share) for share in (EARLY, LATE))
        disk_mib = max(look.journal_mib + look.wal_mib for look in looks)
        summary = {
            "seconds": round(looks[-1].at_s),
            "events_per_s": round((looks[-1].head - looks[0].head) / (looks[-1].at_s - looks[0].at_s)),
            "early_rss_mib": round(early, 1),
            "late_rss_mib": round(late, 1),
            "rss_ratio": round(late / early, 3),
            "most_disk_mib": round(disk_mib),
            "most_reading_lag": max(look.reading_lag for look in looks),
            "reading": reading.report(),
            "stopped": stopped.report(),
        }
        show(msgspec.json.encode(summary).decode())
        assert abs(late / early - 1) <= FLATNESS
        assert disk_mib <= DISK_BYTES / MIB
        assert reading.report().missing == 0
        assert stopped.report().missing <= stopped.report().told
    await longwire.stop_and_sweep()


async def soak(
    longwire: Longwire, reading: CountingReader, stopped: CountingReader, show: Callable[[str], None]
) -> list[Look]:
    """Look every second, and show a line each minute."""
    begun, looks = time.monotonic(), list[Look]()
    while not looks or looks[-1].at_s < SOAK_S:
        looks.append(await look_at(longwire, reading, stopped, at_s=time.monotonic() - begun))
        if len(looks) == 1 or looks[-1].at_s // _SHOW_S > looks[-2].at_s // _SHOW_S:
            show(msgspec.json.encode(looks[-1]).decode())
        await asyncio.sleep(_LOOK_S)  # the pace is what is wanted
    return looks


async def look_at(
    longwire: Longwire, reading: CountingReader, stopped: CountingReader, *, at_s: float
) -> Look:
    asked = time.monotonic()
    status = await longwire.status()
    answered = time.monotonic()
    head = status["supervisor"]["last_seq"]
    report = reading.report()
    file = longwire.folder / "var" / "journal.sqlite3"
    return Look(
        at_s=round(at_s, 1),
        rss_mib=round(psutil.Process(longwire.program.pid).memory_info().rss / MIB, 1),
        children_pss_mib=round(sum(account["pss_bytes"] or 0 for account in status["accounts"]) / MIB, 1),
        journal_mib=round(file.stat().st_size / MIB, 1),
        wal_mib=round(file.with_name(f"{file.name}-wal").stat().st_size / MIB, 1),
        head=head,
        reading_lag=max(0, head - report.last_seq),
        stopped_lag=head - stopped.report().last_seq,
        status_ms=round((answered - asked) * 1000, 1),
        p50_ms=report.p50_ms,
        p99_ms=report.p99_ms,
    )


async def pids(longwire: Longwire) -> dict[str, int]:
    return {account["account"]: account["pid"] for account in (await longwire.status())["accounts"]}


async def until_read(reader: CountingReader, head: int) -> None:
    async def look() -> bool:
        return reader.report().last_seq >= head

    await until(look, what=f"{reader.name} has read everything", deadline_s=CATCH_UP_S)


def mean_rss_mib(looks: Sequence[Look], share: tuple[float, float]) -> float:
    """Return the mean over a share of the time, given by its ends."""
    first, last = (part * looks[-1].at_s for part in share)
    return fmean(look.rss_mib for look in looks if first <= look.at_s <= last)
