"""A message's way at 100 events a second: to the platform's ack, and to a subscriber."""

from __future__ import annotations

import asyncio
import time

from bench.plain import NOTE, plain_sdk
from bench.rows import Row, Target, spread
from bench.stage import Bench, Stage, staged
from harness.longwire import lark
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.injections import LarkEvent

_RATE_PER_S = 100
_WARM_UP = 100
"""Events before those that count: the first ones import and compile."""

_DEADLINE_S = 60.0
_TARGET = Target("<= 2 ms", "<= 10 ms")


async def measure(bench: Bench) -> list[Row]:
    """Let the same events happen to a plain SDK process and to an account."""
    count = bench.pick(500, 1500)
    async with staged(bench, lambda url: {"bot": lark(url, "cli_bench")}) as stage:
        async with plain_sdk(stage.simulator, "cli_plain", folder=stage.folder) as plain:
            await _inject(stage.simulator, "cli_plain", count)
            plain_sent = await _sent_and_acked(stage.simulator, "cli_plain", count)
            plain_got = await plain.received()
        got = await _received(stage, count)
        sent = await _sent_and_acked(stage.simulator, "cli_bench", count)
    return [
        *spread(
            "platform frame to platform ack, durable",
            [(acked - at) * 1000 for at, acked in sent.values()],
            tail=99,
            unit="ms",
            target=_TARGET,
            baseline=[(acked - at) * 1000 for at, acked in plain_sent.values()],
            note=NOTE,
        ),
        *spread(
            "platform frame to subscriber",
            [(got[message_id] - at) * 1000 for message_id, (at, _) in sent.items()],
            tail=99,
            unit="ms",
            target=_TARGET,
            baseline=[(plain_got[message_id] - at) * 1000 for message_id, (at, _) in plain_sent.items()],
            note=f"{NOTE}; until its handler is called",
        ),
    ]


async def _inject(simulator: Simulator, app: str, count: int) -> None:
    await simulator.inject_lark(LarkEvent(app=app, count=count + _WARM_UP, rate_per_s=_RATE_PER_S))


async def _sent_and_acked(simulator: Simulator, app: str, count: int) -> dict[str, tuple[float, float]]:
    """Return when each message that counts was sent last, and when its ack came."""

    async def all_acked() -> bool:
        return (await simulator.app_state("lark", app)).acked == count + _WARM_UP

    await until(all_acked, what="every event is acked", deadline_s=_DEADLINE_S)
    records = await simulator.deliveries("lark", app=app)
    return {record.message_id: (record.sent_at[-1], record.acked_at or 0.0) for record in records[_WARM_UP:]}


async def _received(stage: Stage, count: int) -> dict[str, float]:
    """Start the supervisor and return when a subscriber got which message id."""
    await stage.longwire.start()
    await stage.longwire.until_online()
    subscription = stage.longwire.client.subscribe("reader", start="all", types=["message.created"])
    await subscription.open()
    await _inject(stage.simulator, "cli_bench", count)
    got: dict[str, float] = {}
    async with asyncio.timeout(_DEADLINE_S):
        while len(got) < count + _WARM_UP:
            event = await anext(subscription)
            got[event.message_id or ""] = time.time()
            await event.ack()
    return got
