"""Nothing acknowledged is lost, nothing comes twice, order is kept: whatever happens (scenario E1)."""

from __future__ import annotations

import os

import pytest

from chaos.campaign import Campaign, Plan
from chaos.troubles import TROUBLES
from harness.longwire import Longwire
from harness.simulator import Simulator

SOAK_S = float(os.environ.get("LONGWIRE_SOAK_S", "120"))
SHORT_S = 8.0
RATE_PER_S, BURST = 100.0, 80
THINNER = max(1.0, SOAK_S / 120)
"""The simulator remembers 50,000 deliveries, so a longer campaign gets fewer events a second."""


@pytest.mark.soak
@pytest.mark.timeout(SOAK_S + 300)
async def test_a_long_campaign_loses_nothing_that_was_acknowledged(
    simulator: Simulator, longwire: Longwire, seed: int
) -> None:
    burst = max(1, round(BURST / THINNER))
    plan = Plan(seed=seed, seconds=SOAK_S, rate_per_s=RATE_PER_S / THINNER, burst=burst)
    print(await Campaign(plan, simulator, longwire).run(TROUBLES))  # noqa: T201  # what was survived


async def test_a_short_campaign_loses_nothing_that_was_acknowledged(
    simulator: Simulator, longwire: Longwire, seed: int
) -> None:
    plan = Plan(seed=seed, seconds=SHORT_S, rate_per_s=RATE_PER_S, burst=BURST, gap_s=(0.05, 0.5))
    print(await Campaign(plan, simulator, longwire).run(TROUBLES))  # noqa: T201  # what was survived
