"""Rounds: the contenders one after the other, again and again, so that noise hits all alike."""

from __future__ import annotations

from collections.abc import Sequence

import click

from bench.contenders.carrying import Carried, Contender
from bench.stage import Bench

Series = dict[str, list[Carried]]
"""By the contender's name, a result for each round; who is not installed is missing."""


async def compete(bench: Bench, contenders: Sequence[Contender], *, count: int, rounds: int) -> Series:
    """Let each carry `count` events in each round; tell who cannot."""
    able = [contender for contender in contenders if _is_able(contender)]
    series: Series = {contender.name: [] for contender in able}
    for _ in range(rounds):
        for contender in able:
            with bench.part() as part:
                series[contender.name].append(await contender.carry(part, count))
    return series


def _is_able(contender: Contender) -> bool:
    reason = contender.missing()
    if reason is not None:
        click.echo(f" [skipped {contender.name}: {reason}]", err=True, nl=False)
    return reason is None
