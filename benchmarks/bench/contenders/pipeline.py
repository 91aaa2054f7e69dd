"""The raw pipeline: what pyzmq, msgspec and the journal's own tables reach without a supervisor."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench.contenders.carrying import Carried, Contender, between, script, until_ready
from bench.contenders.journals import place
from bench.stage import Bench

NAME = "raw pipeline"
_PROGRAM = "raw_pipeline"


def contender(*, journal: Path | None = None) -> Contender:
    """Return one that begins with a copy of this journal, or with none."""
    promise = (
        "as Longwire: fsync before «stored», the same dedup index, the reader's position with each commit"
    )
    return Contender(name=NAME, promise=promise, carry=partial(_carry, journal=journal))


async def _carry(bench: Bench, count: int, *, journal: Path | None) -> Carried:
    folder = bench.new_folder()
    place(journal, folder)
    async with script(folder, _PROGRAM, "store", folder) as core:
        await until_ready(core)
        async with script(folder, "reader", "raw", f"ipc://{folder}/clients", count, "reader") as subscriber:
            await until_ready(subscriber)
            return await between(subscriber, script(folder, _PROGRAM, "produce", folder, count), core=core)
