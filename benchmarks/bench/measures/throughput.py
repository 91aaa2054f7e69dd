"""How many events a second one Lark account takes through the real SDK, all at once."""

from __future__ import annotations

from bench.plain import NOTE, plain_sdk
from bench.rows import Row, middle
from bench.stage import Bench, simulated, staged
from harness.longwire import lark
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.injections import LarkEvent

_WARM_UP = 200
_DEADLINE_S = 120.0
_LOOK_S = 0.5
"""Between looks at the simulator, which tells all its acks each time: many looks cost it many events."""

_APP = "cli_bench"


async def measure(bench: Bench) -> list[Row]:
    """Let a burst happen to a plain SDK process and to an account, in turn.

    Each time on a new simulator: one that remembers many events has less time for new ones.
    """
    count = bench.pick(5_000, 20_000)
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(bench.pick(1, 3)):
        folder = bench.new_folder()
        async with simulated(folder) as simulator, plain_sdk(simulator, _APP, folder=folder):
            theirs.append(await _burst(simulator, count))
        async with staged(bench, lambda url: {"bot": lark(url, _APP)}) as stage:
            await stage.longwire.start()
            await stage.longwire.until_online()
            ours.append(await _burst(stage.simulator, count))
    return [
        middle(
            "events/s of one Lark account, durable",
            ours,
            unit="events/s",
            baseline=theirs,
            target=">= 5,000",
            note=f"{NOTE}; the simulator shares the cores",
        )
    ]


async def _burst(simulator: Simulator, count: int) -> float:
    """Return acked events per second, from the first one sent to the last ack."""
    acked = 0
    for size in (_WARM_UP, count):
        acked += size
        await simulator.inject_lark(LarkEvent(app=_APP, count=size))
        await _until_acked(simulator, acked)
    records = (await simulator.deliveries("lark", app=_APP))[_WARM_UP:]
    begun = min(record.sent_at[0] for record in records)
    return count / (max(record.acked_at or 0.0 for record in records) - begun)


async def _until_acked(simulator: Simulator, count: int) -> None:
    async def all_acked() -> bool:
        return (await simulator.app_state("lark", _APP)).acked >= count

    await until(all_acked, what=f"{count} events are acked", deadline_s=_DEADLINE_S, every_s=_LOOK_S)
