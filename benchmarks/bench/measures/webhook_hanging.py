"""What supervisor and courier notice of 64 targets of webhooks that hang, all at once (F5)."""

from __future__ import annotations

import asyncio

from bench.rows import Row
from bench.stage import Bench
from bench.watch import Watch
from harness.hanging import HANGING, hang, many, until_all_do_well
from harness.longwire import Longwire
from harness.targets.client import Targets

_ACCOUNTS, _RATE_PER_S = 4, 2.0
"""Events of each, which go to all targets: some 500 posts a second."""


async def measure(bench: Bench) -> list[Row]:
    """Watch them first while all targets answer, then while none does."""
    for_s = bench.pick(10, 40)
    folder = bench.new_folder()
    longwire = Longwire(folder)
    busy = {"connector": "loopback", "tenant": "acme", "rate_per_s": _RATE_PER_S, "chats": 200}
    alone, beside = Watch(), Watch()
    async with Targets(folder) as targets:
        tables = await many(targets)
        longwire.configure({f"bot{n}": busy for n in range(_ACCOUNTS)}, webhooks=tables)
        try:
            await longwire.start(log_level="info")
            await until_all_do_well(targets)
            async with alone.looking(longwire):
                await asyncio.sleep(for_s)
            await hang(longwire, targets, tables)
            async with beside.looking(longwire):
                await asyncio.sleep(for_s)
        finally:
            await longwire.close()
    note = f"baseline: before, while they answer some {_ACCOUNTS * _RATE_PER_S * HANGING:,.0f} posts a second"
    return beside.rows(f"{HANGING} targets hang", note=note, baseline=alone)
