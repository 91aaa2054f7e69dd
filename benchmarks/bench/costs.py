"""What a number of accounts costs, as rows: beside plain processes and the floor, and as it grows."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import msgspec

from bench.processes import MB
from bench.rows import Row

_GB = 1000 * MB
_FLOOR = (
    "baseline: an asyncio process that reads as many heartbeats over ZeroMQ and sends ready-made accounts"
)


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of one fleet."""

    accounts: int
    start_s: float
    """From the command's start until the last account was online."""
    children_bytes: int
    """PSS of children and templates."""
    supervisor_pss_bytes: int
    supervisor_bytes: int
    """RSS."""
    supervisor_cpu: float
    """While nothing happens, in percent of a core."""
    children_cpu: float
    """Of all children and templates together."""
    floor_bytes: int
    floor_cpu: float
    status_ms: Sequence[float]
    floor_status_ms: Sequence[float]


class Alone(msgspec.Struct, frozen=True):
    """What one plain SDK process costs where a few run."""

    start_s: float
    pss_bytes: float
    idle_cpu: float
    """In percent of a core."""
    note: str


_TARGETS = {
    ("start to all online", 100): "<= 3 s",
    ("start to all online", 1000): "<= 45 s",
    ("PSS per account", 100): "<= 10 MB",
    ("all memory", 1000): "<= 10.5 GB",
    ("supervisor RSS", 100): "<= 60 MB (T6)",
    ("supervisor RSS", 500): "<= 100 MB",
    ("supervisor RSS", 1000): "<= 150 MB",
    ("supervisor idle", 100): "<= 1 % (T6)",
    ("supervisor idle", 500): "<= 5 %",
    ("supervisor idle", 1000): "<= 10 %",
    ("status, p50", 1000): "< 100 ms",
    ("status, slowest of 20", 1000): "< 100 ms",
}


def of_platform(platform: str, costs: Costs, alone: Alone) -> list[Row]:
    """Return the rows that say what the SDK costs, beside plain processes counted up."""
    size = costs.accounts
    everything = costs.children_bytes + costs.supervisor_pss_bytes
    return [
        _row(f"{platform}: {name}", size, value, unit, baseline=baseline, target=name, note=alone.note)
        for name, value, unit, baseline in (
            ("start to all online", costs.start_s, "s", alone.start_s * size),
            ("PSS per account", costs.children_bytes / size / MB, "MB", alone.pss_bytes / MB),
            ("all memory", everything / _GB, "GB", alone.pss_bytes * size / _GB),
            ("children idle", costs.children_cpu, "% of a core", alone.idle_cpu * size),
        )
    ]


def of_supervisor(costs: Costs) -> list[Row]:
    """Return the rows that say what the supervisor costs, beside the floor."""
    ours, floor = costs.status_ms, costs.floor_status_ms
    return [
        _row(name, costs.accounts, value, unit, baseline=baseline, target=name, note=_FLOOR)
        for name, value, unit, baseline in (
            ("supervisor RSS", costs.supervisor_bytes / MB, "MB", costs.floor_bytes / MB),
            ("supervisor idle", costs.supervisor_cpu, "% of a core", costs.floor_cpu),
            ("status, p50", statistics.median(ours), "ms", statistics.median(floor)),
            ("status, slowest of 20", max(ours), "ms", max(floor)),
        )
    ]


def growth(few: Costs, many: Costs) -> list[Row]:
    """Return what an account costs where there are many against where there are few."""
    figures: tuple[tuple[str, str, Callable[[Costs], float]], ...] = (
        ("start", "ms", lambda each: each.start_s * 1000),
        ("PSS", "MB", lambda each: each.children_bytes / MB),
        ("supervisor idle", "% of a core", lambda each: each.supervisor_cpu),
    )
    return [
        Row(
            name=f"{name} per account, {many.accounts:,} against {few.accounts:,}",
            value=figure(many) / many.accounts,
            unit=unit,
            baseline=figure(few) / few.accounts,
            target="ratio <= 1.2",
            note="baseline: the same per account where there are fewer",
        )
        for name, unit, figure in figures
    ]


def _row(name: str, size: int, value: float, unit: str, *, baseline: float, target: str, note: str) -> Row:
    return Row(
        name=name,
        accounts=size,
        value=value,
        unit=unit,
        baseline=baseline,
        target=_TARGETS.get((target, size), "-"),
        note=note,
    )
