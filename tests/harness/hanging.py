"""Many targets that did well and then hang, all at once (scenarios F4 and F5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.longwire import Longwire
from harness.neighbours import TYPES
from harness.targets.behaviour import Behaviour, Silent
from harness.targets.client import Targets
from harness.waiting import until
from harness.webhooks import courier, webhook

HANGING = 64
WELL = 30
"""Successes after which a target has had its `concurrency`."""


async def many(targets: Targets, behaviour: Behaviour | None = None) -> dict[str, dict[str, Any]]:
    """Return the tables of so many targets."""
    names = [f"target{n}" for n in range(HANGING)]
    return {name: webhook(await targets.open(name, behaviour), types=TYPES) for name in names}


async def until_all_do_well(targets: Targets) -> None:
    """Return when each may have as many posts at once as it ever may."""

    async def have_done_well() -> bool:
        return all(it.succeeded >= WELL for it in (await targets.tallies()).values())

    await until(have_done_well, what="every target has done well")


async def hang(longwire: Longwire, targets: Targets, names: Iterable[str]) -> None:
    """Have them say nothing any more; return when each has a post under way."""
    for name in names:
        await targets.behave(name, Silent())

    async def all_hang() -> bool:
        return bool((await courier(longwire))["in_flight"] >= HANGING)

    await until(all_hang, what="each has a post that hangs")
