"""A message's way at 100 events a second: to the platform's ack, and to a subscriber, through both SDKs."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from itertools import accumulate
from typing import Any

import msgspec

from bench.plain import note, plain_sdk
from bench.platforms import DINGTALK, LARK, Platform
from bench.rows import Row, Target, spread
from bench.stage import Bench, staged
from harness.longwire import Longwire
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.deliveries import DeliveryRecord
from longwire_protocol.subscription import Subscription

_RATE_PER_S = 100
_WARM_UP = 100
"""Events before those that count: the first ones import and compile."""

_FILLING = 80_000
"""Events of 500 bytes that go through the journal first: then its log is written over, as it always is after
the first 32 MiB, and not made longer, which costs a third of each fsync."""

_ROUND = 500
_DEADLINE_S = 60.0
_OURS, _PLAIN = "bench", "plain"
_BOT, _FILLER = "bot", "filler"
_TARGET = Target("<= 2 ms", "<= 10 ms")


class Times(msgspec.Struct, frozen=True):
    """Milliseconds from the platform's frame, by what was waited for."""

    acked: list[float]
    received: list[float]


async def measure(bench: Bench) -> list[Row]:
    """Let the same events happen to a plain SDK process and to an account."""
    rows: list[Row] = []
    for platform in (LARK, DINGTALK):
        rows += await _measure(bench, platform)
    return rows


async def _measure(bench: Bench, platform: Platform) -> list[Row]:
    """Let both run all the time, and messages come to one and then to the other, so that noise hits both."""
    rounds = [_WARM_UP] + bench.pick(1, 3) * [_ROUND]
    async with (
        staged(bench, partial(_accounts, platform)) as stage,
        plain_sdk(stage.simulator, _PLAIN, platform=platform, folder=stage.folder) as plain,
    ):
        await stage.longwire.start()
        await stage.longwire.until_online()
        await _until_filled(stage.longwire)
        subscription = stage.longwire.client.subscribe("reader", accounts=[_BOT], types=["message.created"])
        await subscription.open()
        got: dict[str, float] = {}
        for end in accumulate(rounds):
            await platform.inject(stage.simulator, _PLAIN, end - len(got), _RATE_PER_S)
            await _until_acked(stage.simulator, platform, _PLAIN, end)
            await platform.inject(stage.simulator, _OURS, end - len(got), _RATE_PER_S)
            await _read(subscription, got, wanted=end)
        await _until_acked(stage.simulator, platform, _OURS, sum(rounds))
        ours = _times(await stage.simulator.deliveries(platform.name, app=_OURS), got)
        records = await stage.simulator.deliveries(platform.name, app=_PLAIN)
        return _rows(platform, ours, _times(records, await plain.received()))


def _accounts(platform: Platform, url: str) -> dict[str, dict[str, Any]]:
    filler = {"connector": "loopback", "rate_per_s": 1_000_000.0, "count": _FILLING, "size_bytes": 52}
    return {_BOT: dict(platform.account(url, _OURS)), _FILLER: filler}


async def _until_filled(longwire: Longwire) -> None:
    async def all_stored() -> bool:
        return bool((await longwire.account(_FILLER))["events"] == _FILLING)

    await until(all_stored, what="the journal's log is filled", deadline_s=_DEADLINE_S)


def _rows(platform: Platform, ours: Times, theirs: Times) -> list[Row]:
    return [
        *spread(
            f"{platform.title} frame to platform ack, durable",
            ours.acked,
            tail=99,
            unit="ms",
            target=_TARGET,
            baseline=theirs.acked,
            note=note(platform),
        ),
        *spread(
            f"{platform.title} frame to subscriber",
            ours.received,
            tail=99,
            unit="ms",
            target=_TARGET,
            baseline=theirs.received,
            note=f"{note(platform)}; until its handler is called",
        ),
    ]


def _times(records: list[DeliveryRecord], received: dict[str, float]) -> Times:
    """Look at all but the warm-up; a message that was sent again counts from its last sending."""
    counted = records[_WARM_UP:]
    return Times(
        [((record.acked_at or 0.0) - record.sent_at[-1]) * 1000 for record in counted],
        [(received[record.message_id] - record.sent_at[-1]) * 1000 for record in counted],
    )


async def _until_acked(simulator: Simulator, platform: Platform, app: str, count: int) -> None:
    async def all_acked() -> bool:
        return (await simulator.app_state(platform.name, app)).acked == count

    await until(all_acked, what="every event is acked", deadline_s=_DEADLINE_S)


async def _read(subscription: Subscription, got: dict[str, float], *, wanted: int) -> None:
    """Note when each message came, until there are so many."""
    async with asyncio.timeout(_DEADLINE_S):
        while len(got) < wanted:
            event = await anext(subscription)
            got[event.message_id or ""] = time.time()
            await event.ack()
