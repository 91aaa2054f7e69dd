"""How many events a second one Lark account takes through the real SDK, all at once."""

from __future__ import annotations

from bench.plain import NOTE, plain_sdk
from bench.rows import Row
from bench.stage import Bench, staged
from harness.longwire import lark
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.injections import LarkEvent

_WARM_UP = 200
_DEADLINE_S = 120.0


async def measure(bench: Bench) -> list[Row]:
    """Let a burst happen to a plain SDK process, and then to an account."""
    count = bench.pick(5_000, 20_000)
    async with staged(bench, lambda url: {"bot": lark(url, "cli_bench")}) as stage:
        async with plain_sdk(stage.simulator, "cli_plain", folder=stage.folder):
            baseline = await _burst(stage.simulator, "cli_plain", count)
        await stage.longwire.start()
        await stage.longwire.until_online()
        value = await _burst(stage.simulator, "cli_bench", count)
    return [
        Row(
            name="events/s of one Lark account, durable",
            value=value,
            unit="events/s",
            baseline=baseline,
            target=">= 5,000",
            note=f"{NOTE}; the simulator shares the cores",
        )
    ]


async def _burst(simulator: Simulator, app: str, count: int) -> float:
    """Return acked events per second, from the first one sent to the last ack."""
    acked = 0
    for size in (_WARM_UP, count):
        acked += size
        await simulator.inject_lark(LarkEvent(app=app, count=size))
        await _until_acked(simulator, app, acked)
    records = (await simulator.deliveries("lark", app=app))[_WARM_UP:]
    begun = min(record.sent_at[0] for record in records)
    return count / (max(record.acked_at or 0.0 for record in records) - begun)


async def _until_acked(simulator: Simulator, app: str, count: int) -> None:
    async def all_acked() -> bool:
        return (await simulator.app_state("lark", app)).acked >= count

    await until(all_acked, what=f"{count} events of {app} are acked", deadline_s=_DEADLINE_S)
