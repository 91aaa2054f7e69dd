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
RATE_PER_S = 100.0
MAX_EVENTS = 35_000
"""The simulator forgets finished deliveries beyond 50,000; longer campaigns get fewer events a second, and
bursts come on top."""


@pytest.mark.soak
@pytest.mark.timeout(SOAK_S + 300)
async def test_a_long_campaign_loses_nothing_that_was_acknowledged(
    simulator: Simulator, longwire: Longwire, seed: int
) -> None:
    rate_per_s = min(RATE_PER_S, MAX_EVENTS / SOAK_S / 3)
    plan = Plan(seed=seed, seconds=SOAK_S, rate_per_s=rate_per_s)
    print(await Campaign(plan, simulator, longwire).run(TROUBLES))  # noqa: T201  # what was survived


async def test_a_short_campaign_loses_nothing_that_was_acknowledged(
    simulator: Simulator, longwire: Longwire, seed: int
) -> None:
    plan = Plan(seed=seed, seconds=SHORT_S, rate_per_s=RATE_PER_S, gap_s=(0.05, 0.5))
    print(await Campaign(plan, simulator, longwire).run(TROUBLES))  # noqa: T201  # what was survived
