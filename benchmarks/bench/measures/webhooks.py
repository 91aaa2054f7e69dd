"""Webhook deliveries a second to 50 fast targets, beside a plain aiohttp client that makes the same posts."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from bench.rows import Row, middle, percentile
from bench.stage import PROGRAMS, Bench
from harness.longwire import Longwire
from harness.processes import Program
from harness.targets.client import Targets
from harness.waiting import until
from harness.webhooks import webhook
from longwire import Client

_TARGETS = 50
_WORKERS = 5
"""Of the plain client for each target: 250 posts at once, about as many as the courier may have under way."""
_TEXT_BYTES = 46  # an event of 500 bytes as MessagePack, as in `durable`
_CHATS = 50
_SAMPLE = "target0"
"""The target whose arrivals are kept, for the plain client to make the same."""
_DEADLINE_S = 300.0
_LOOK_S = 0.02
_LATE = 2.0
"""A heartbeat is missed when the last one is older than so many intervals."""
_INTERVAL_S = 1.0
"""Between heartbeats, as by default."""
_NOTE = (
    f"one account's events to each of {_TARGETS} targets of a process beside it, durable, signed, in order "
    "per chat; baseline: ready-made bytes, nothing kept or tried again"
)


class Watched(msgspec.Struct):
    """What was seen of the supervisor while it delivered."""

    round_trips_ms: list[float] = []
    """Of a request that it answers from memory: its loop's lag, and a little more."""
    courier_lag_p99_ms: list[float] = []
    """As the courier says."""
    heartbeats_missed: int = 0
    """Looks at which a child's last heartbeat was too old."""


async def measure(bench: Bench) -> list[Row]:
    """Let both post in turn, so that noise hits both."""
    each, rounds = bench.pick(200, 1_000), bench.pick(1, 3)
    ours: list[float] = []
    plain: list[float] = []
    watched = Watched()
    for _ in range(rounds):
        folder = bench.new_folder()
        async with _targets(folder) as targets:
            ours.append(await _delivered(folder, targets, each=each, watched=watched))
            plain.append(await _posted(folder, targets, each=each))
    return [
        middle(
            "webhook deliveries/s",
            ours,
            unit="posts/s",
            baseline=plain,
            against="plain aiohttp",
            target=">= 5,000; ratio >= 0.5",
            note=_NOTE,
        ),
        *_unharmed(watched),
    ]


def _unharmed(watched: Watched) -> list[Row]:
    note = "meanwhile, in the same rounds"
    return [
        Row(
            name="supervisor's request while webhooks are delivered, p99",
            value=percentile(watched.round_trips_ms, 99),
            unit="ms",
            target="< 100 ms (F5)",
            note=f"{note}; its loop's lag and a little more",
        ),
        Row(
            name="courier's loop lag while it delivers, p99",
            value=max(watched.courier_lag_p99_ms),
            unit="ms",
            target="< 100 ms (F5)",
            note=note,
        ),
        Row(
            name="heartbeats missed while webhooks are delivered",
            value=watched.heartbeats_missed,
            unit="",
            target="0 (F5)",
            note=note,
        ),
    ]


@asynccontextmanager
async def _targets(folder: Path) -> AsyncIterator[Targets]:
    async with Targets(folder) as targets:
        for number in range(_TARGETS):
            name = f"target{number}"
            await targets.open(name, is_recording=name == _SAMPLE)
        yield targets


async def _delivered(folder: Path, targets: Targets, *, each: int, watched: Watched) -> float:
    """Return how many posts a second there were from the first event's making to the last arrival."""
    longwire = Longwire(folder)
    names = list(await targets.tallies())
    tables = {name: webhook(targets.url(name), types=["message.created"]) for name in names}
    longwire.configure({}, webhooks=tables)
    await longwire.start(log_level="info")
    try:
        await _until_ready(longwire.client)
        source = {"connector": "loopback", "tenant": "acme", "rate_per_s": 1_000_000.0, "count": each}
        longwire.configure(
            {"source": {**source, "size_bytes": _TEXT_BYTES, "chats": _CHATS}}, webhooks=tables
        )
        longwire.program.send(signal.SIGHUP)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(_watch(longwire, watched), name="watch")
            await _until_arrived(targets, each)
            watching.cancel()
    finally:
        await longwire.close()
    arrivals = await targets.arrivals(_SAMPLE)
    (folder / "sample.json").write_bytes(
        msgspec.json.encode({"headers": arrivals[0].headers, "body": arrivals[0].body.decode()})
    )
    begun = min(msgspec.json.decode(arrival.body)["recv_time"] for arrival in arrivals)
    ended = max(tally.last_at for tally in (await targets.tallies()).values())
    return each * len(names) / (ended - begun)


async def _posted(folder: Path, targets: Targets, *, each: int) -> float:
    """Return how many posts a second the plain client made."""
    urls, report = folder / "urls", folder / "plain.json"
    urls.write_text("\n".join(targets.url(name) for name in await targets.tallies()))
    script = str(PROGRAMS / "plain_poster.py")
    command = [sys.executable, script, str(urls), str(folder / "sample.json"), str(report)]
    program = await Program.start([*command, str(each), str(_WORKERS)], output=folder / "plain.log")
    try:
        code = await program.ended(deadline_s=_DEADLINE_S)
    finally:
        if program.returncode is None:
            await program.kill()
    assert code == 0, program.text()[-2000:]
    return each * _TARGETS / msgspec.json.decode(report.read_bytes(), type=float)


async def _until_ready(client: Client) -> None:
    async def ready() -> bool:
        listed: list[dict[str, Any]] = await client.call("webhook.list")
        return len(listed) == _TARGETS and all(it["state"] == "delivering" for it in listed)

    await until(ready, what="every target is delivered to")


async def _until_arrived(targets: Targets, each: int) -> None:
    async def arrived() -> bool:
        return all(tally.arrivals >= each for tally in (await targets.tallies()).values())

    await until(arrived, what="every target has every event", deadline_s=_DEADLINE_S, every_s=0.1)


async def _watch(longwire: Longwire, watched: Watched) -> None:
    """Look until cancelled."""
    while True:
        begun = time.perf_counter()
        await longwire.client.call("account.list")
        watched.round_trips_ms.append((time.perf_counter() - begun) * 1000)
        await asyncio.sleep(_LOOK_S)
        if len(watched.round_trips_ms) % 10 == 0:
            await _look(longwire, watched)


async def _look(longwire: Longwire, watched: Watched) -> None:
    status = await longwire.status()
    for account in status["accounts"]:
        age_s = account["liveness"]["loop"]["age_s"]
        watched.heartbeats_missed += age_s is not None and age_s > _LATE * _INTERVAL_S
    lag_ms = status["courier"]["loop_lag_p99_ms"]
    if lag_ms is not None:
        watched.courier_lag_p99_ms.append(lag_ms)
