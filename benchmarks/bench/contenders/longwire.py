"""Longwire: a loopback child, the supervisor, and a subscriber that is the Python client or a raw DEALER."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import psutil

from bench.contenders.carrying import (
    Carried,
    Contender,
    SubscriberReport,
    cpu_s,
    report,
    script,
    until_ready,
)
from bench.contenders.journals import place
from bench.stage import Bench
from harness.longwire import Longwire

Kind = Literal["client", "raw"]

_PROMISE = (
    "on disk (fsync) before the child hears «stored»; duplicates are dropped in the insert's transaction"
)
_TEXT_BYTES, _CHATS = 46, 50  # as `programs/events.py` has it
_ACCOUNT = "loop"


def contender(name: str, kind: Kind, *, journal: Path | None = None) -> Contender:
    """Return one that begins with a copy of this journal, or with none."""
    return Contender(name=name, promise=_PROMISE, carry=partial(_carry, kind=kind, journal=journal))


async def _carry(bench: Bench, count: int, *, kind: Kind, journal: Path | None) -> Carried:
    """Start without accounts, and let the child come when the subscriber is ready."""
    async with (
        idle_supervisor(bench.new_folder(), journal=journal) as longwire,
        script(longwire.folder, "reader", kind, longwire.endpoint, count, "reader") as subscriber,
    ):
        await until_ready(subscriber)
        core = psutil.Process(longwire.program.pid)
        before = cpu_s(core)
        longwire.configure({_ACCOUNT: _loopback(count)})
        longwire.program.send(signal.SIGHUP)
        seen = await report(subscriber, SubscriberReport)
        core_cpu_s = cpu_s(core) - before
        child = psutil.Process((await longwire.account(_ACCOUNT))["pid"])
        return seen.carried(core_cpu_s=core_cpu_s, producer_cpu_s=cpu_s(child))


@asynccontextmanager
async def idle_supervisor(folder: Path, *, journal: Path | None = None) -> AsyncIterator[Longwire]:
    """Run a supervisor that has no accounts, on a copy of a journal."""
    longwire = Longwire(folder)
    longwire.configure({})
    place(journal, folder / "var")
    await longwire.start()
    try:
        yield longwire
    finally:
        await longwire.close()


def _loopback(count: int) -> dict[str, Any]:
    return {
        "connector": "loopback",
        "tenant": "acme",
        "rate_per_s": 1_000_000.0,  # more than anybody can take: the child makes what is stored
        "count": count,
        "size_bytes": _TEXT_BYTES,
        "chats": _CHATS,
        "ids": "random",
    }
