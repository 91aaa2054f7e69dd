"""What 97 targets of webhooks notice of three bad ones: a black hole, a byte a second, resets (F1)."""

from __future__ import annotations

from bench.rows import Row, percentile
from bench.stage import Bench
from harness.longwire import Longwire
from harness.neighbours import BAD, GOOD, TROUBLES, crowd
from harness.targets.client import Targets

_RATE_PER_S = 5.0
"""Events, each of which goes to all targets: some 500 posts a second."""


async def measure(bench: Bench) -> list[Row]:
    """Take laps without bad targets and with them in turn, so that noise hits both."""
    lap_s, rounds = bench.pick(5, 20), bench.pick(1, 2)
    alone: list[float] = []
    beside: list[float] = []
    folder = bench.new_folder()
    longwire = Longwire(folder)
    async with Targets(folder) as targets:
        try:
            them = await crowd(longwire, targets, rate_per_s=_RATE_PER_S)
            await them.lap(lap_s / 4)  # connections are made, and code has run for the first times
            for trouble in rounds * TROUBLES:
                alone += await them.lap(lap_s)
                await them.trouble(trouble)
                beside += await them.lap(lap_s)
                await them.relief(trouble)
        finally:
            await longwire.close()
    return [
        Row(
            name=f"event made to webhook's target, p{percent}, {GOOD} of {GOOD + BAD} targets",
            value=percentile(beside, percent),
            unit="ms",
            baseline=percentile(alone, percent),
            target="ratio <= 1.2 (F1)" if percent == 99 else "-",  # noqa: PLR2004
            note=f"{_RATE_PER_S:g} events/s to each; a black hole, a byte a second and resets beside them; "
            "baseline: laps without those, in turn with the others",
        )
        for percent in (50, 99)
    ]
