"""Durable events a second: a loopback child, the journal, one subscriber that decodes and acks."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import msgspec

from bench.rows import Row
from bench.stage import PROGRAMS, Bench, Stage, staged
from harness.processes import Program
from longwire_protocol.subscription import Subscription

_TEXT_BYTES = 52
"""The text stands in an event twice; with all else this makes the size that the note tells."""

_CREDIT = 10_000
_CHATS = 50
_WARM_UP_S = 1.0
_PATIENCE_S = 30.0
"""Beyond the time of a measurement, in which an event must come."""


class Pipeline(msgspec.Struct, frozen=True):
    """What the raw pipeline says at its end."""

    events: int
    seconds: float
    event_bytes: float


async def measure(bench: Bench) -> list[Row]:
    """Let a child make as many events as are stored, and count what arrives at the subscriber."""
    seconds = float(bench.pick(4, 15))
    before = await _raw_pipeline(bench, seconds / 2)
    async with staged(bench, lambda _: {"loop": _loopback()}) as stage:
        await stage.longwire.start()
        value = await _count(stage, seconds)
    after = await _raw_pipeline(bench, seconds / 2)
    return [
        Row(
            name="durable events/s, child to subscriber",
            value=value,
            unit="events/s",
            baseline=(before.events + after.events) / (before.seconds + after.seconds),
            target=">= 100,000; ratio >= 0.5",
            note=(
                f"{before.event_bytes:.0f}-byte events, random ids, dedup on; baseline: the raw pipeline, a "
                "child's frames over ZeroMQ into the same tables by a process that does nothing else, no "
                "subscriber"
            ),
        )
    ]


def _loopback() -> dict[str, Any]:
    return {
        "connector": "loopback",
        "tenant": "acme",
        "rate_per_s": 1_000_000.0,  # more than anybody can take: the child makes what is stored
        "size_bytes": _TEXT_BYTES,
        "chats": _CHATS,
        "ids": "random",
    }


async def _count(stage: Stage, seconds: float) -> float:
    subscription = stage.longwire.client.subscribe(
        "reader", start="all", types=["message.created"], credit=_CREDIT
    )
    await subscription.open()
    await _take(subscription, _WARM_UP_S)
    begun = time.monotonic()
    count = await _take(subscription, seconds)
    rate = count / (time.monotonic() - begun)
    await subscription.close()
    return rate


async def _take(subscription: Subscription, seconds: float) -> int:
    """Take events for so long and return how many came."""
    count = 0
    end = time.monotonic() + seconds
    async with asyncio.timeout(seconds + _PATIENCE_S):
        while time.monotonic() < end:
            event = await anext(subscription)
            await event.ack()
            count += 1
    return count


async def _raw_pipeline(bench: Bench, seconds: float) -> Pipeline:
    folder = bench.new_folder()
    command = [sys.executable, str(PROGRAMS / "raw_pipeline.py"), "store", str(folder), str(seconds)]
    program = await Program.start(command, output=folder / "report.json")
    code = await program.ended(deadline_s=seconds + 30)
    assert code == 0, program.text()
    return msgspec.json.decode(program.text(), type=Pipeline)
