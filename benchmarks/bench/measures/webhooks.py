"""Webhook deliveries a second to 50 fast targets, beside a plain aiohttp client that makes the same posts."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from bench.rows import Row, middle
from bench.stage import PROGRAMS, Bench
from bench.watch import Watch
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
_NOTE = (
    f"one account's events to each of {_TARGETS} targets of a process beside it, durable, signed, in order "
    "per chat; baseline: ready-made bytes, nothing kept or tried again"
)


async def measure(bench: Bench) -> list[Row]:
    """Let both post in turn, so that noise hits both."""
    each, rounds = bench.pick(200, 1_000), bench.pick(1, 3)
    ours: list[float] = []
    plain: list[float] = []
    watch = Watch()
    for _ in range(rounds):
        folder = bench.new_folder()
        async with _targets(folder) as targets:
            ours.append(await _delivered(folder, targets, each=each, watch=watch))
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
        *watch.rows("webhooks are delivered", note="meanwhile, in the same rounds"),
    ]


@asynccontextmanager
async def _targets(folder: Path) -> AsyncIterator[Targets]:
    async with Targets(folder) as targets:
        for number in range(_TARGETS):
            name = f"target{number}"
            await targets.open(name, is_recording=name == _SAMPLE)
        yield targets


async def _delivered(folder: Path, targets: Targets, *, each: int, watch: Watch) -> float:
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
        async with watch.looking(longwire):
            await _until_arrived(targets, each)
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
