"""A Lark child is killed: how long until its successor is ready, and online again."""

from __future__ import annotations

import asyncio
import os
import signal
import time

from bench.plain import NOTE, plain_sdk
from bench.rows import Row, Target, spread
from bench.stage import Bench, Stage, staged
from harness.longwire import lark
from harness.waiting import DEADLINE_S
from longwire_protocol.subscription import Subscription

_READY = Target("<= 25 ms (T1)", "<= 60 ms (T1)")
_ONLINE = Target("<= 150 ms", "-")


async def measure(bench: Bench) -> list[Row]:
    """Kill one child again and again, with a backoff of 0."""
    ready: list[float] = []
    online: list[float] = []
    async with staged(
        bench, lambda url: {"bot": lark(url, "cli_bench")}, backoff_initial_s=0.0, backoff_max_s=0.0
    ) as stage:
        plain = [await _start_plain(stage, number) for number in range(bench.pick(2, 5))]
        await stage.longwire.start()
        await stage.longwire.until_online()
        subscription = stage.longwire.client.subscribe(types=["account.status"])
        await subscription.open()
        for _ in range(bench.pick(10, 20)):
            killed_at = time.time()
            os.kill((await stage.longwire.account("bot"))["pid"], signal.SIGKILL)
            seen = await _states_until_online(subscription)
            ready.append((seen["connecting"] - killed_at) * 1000)
            online.append((seen["online"] - killed_at) * 1000)
    note = f"{NOTE}; from its start until it is connected"
    return [
        *spread("SIGKILL to successor ready", ready, tail=95, unit="ms", target=_READY),
        *spread(
            "SIGKILL to online again",
            online,
            tail=95,
            unit="ms",
            target=_ONLINE,
            baseline=[seconds * 1000 for seconds in plain],
            note=note,
        ),
    ]


async def _start_plain(stage: Stage, number: int) -> float:
    async with plain_sdk(stage.simulator, f"cli_plain{number}", folder=stage.folder) as plain:
        return plain.start_s


async def _states_until_online(subscription: Subscription) -> dict[str, float]:
    """Return since when the account was in each state it passed; it begins with its child's end."""
    seen: dict[str, float] = {}
    async with asyncio.timeout(DEADLINE_S):
        while "online" not in seen:
            event = await anext(subscription)
            await event.ack()
            seen[event.raw["state"]] = event.time
    return seen
