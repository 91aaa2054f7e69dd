"""A journal full of events, and new subscriptions that want all of them."""

from __future__ import annotations

from bench.contenders.carrying import SubscriberReport, report, script
from bench.contenders.journals import used_journal
from bench.contenders.longwire import Kind, idle_supervisor
from bench.rows import Row, middle
from bench.stage import Bench
from harness.longwire import Longwire

_READERS: dict[str, Kind] = {"Python client": "client", "raw DEALER": "raw"}
_NOTE = "a new subscription with start «all», each event decoded and acked; the file is in the page cache"


async def measure(bench: Bench) -> list[Row]:
    """Read all of it from the beginning, by a new subscription each time, the readers in turn."""
    count, rounds = bench.pick(100_000, 1_000_000), bench.pick(1, 3)
    seen: dict[str, list[SubscriberReport]] = {name: [] for name in _READERS}
    journal = await used_journal(bench, "events", count)
    async with idle_supervisor(bench.new_folder(), journal=journal) as longwire:
        for number in range(rounds):
            for name, kind in _READERS.items():
                seen[name].append(await _read(longwire, kind, count=count, name=f"{kind}-{number}"))
    return [row for name, reports in seen.items() for row in _rows(name, reports, count=count)]


async def _read(longwire: Longwire, kind: Kind, *, count: int, name: str) -> SubscriberReport:
    async with script(longwire.folder, "reader", kind, longwire.endpoint, count, name) as reader:
        return await report(reader, SubscriberReport)


def _rows(name: str, reports: list[SubscriberReport], *, count: int) -> list[Row]:
    return [
        middle(
            f"replay of {count:,} events, first one, {name}",
            [(report.first_at - report.opened_at) * 1000 for report in reports],
            unit="ms",
            target="< 1,000 ms",
            note=_NOTE,
        ),
        middle(
            f"replay of {count:,} events, {name}",
            [report.events / (report.ended_at - report.opened_at) for report in reports],
            unit="events/s",
            target=">= 100,000",
            note=_NOTE,
        ),
    ]
