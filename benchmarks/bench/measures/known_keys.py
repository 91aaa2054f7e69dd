"""The same as `durable` where millions of dedup keys are known already, as after a busy day."""

from __future__ import annotations

from bench.contenders import longwire, pipeline
from bench.contenders.journals import used_journal
from bench.contenders.rounds import compete
from bench.measures.durable import CLIENT, RAW_READER, costs, speeds
from bench.rows import Row
from bench.stage import Bench

_TARGETS = {pipeline.NAME: ">= 60,000; ratio >= 0.5"}


async def measure(bench: Bench) -> list[Row]:
    """Fill one journal with keys, and let each carry on with a copy of it."""
    known = bench.pick(1_000_000, 20_000_000)
    journal = await used_journal(bench, "keys", known)
    contenders = [
        longwire.contender(CLIENT, "client", journal=journal),
        longwire.contender(RAW_READER, "raw", journal=journal),
        pipeline.contender(journal=journal),
    ]
    count, rounds = bench.pick(50_000, 1_000_000), bench.pick(1, 3)
    series = await compete(bench, contenders, count=count, rounds=rounds)
    there = f"{known // 1_000_000}M keys known"
    return [
        *speeds(series, contenders, name=f"the same, {there}", targets=_TARGETS),
        *costs(series, name=f"CPU, {there}"),
    ]
