"""SIGKILL at any moment of a journal's upkeep: removing, giving back, folding the log in."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path

from fakes.journal import (
    DEADLINE_S,
    no_thread_stays,  # noqa: F401  # pytest finds it here
    numbers,
    opened,
    path_fixture,  # noqa: F401  # pytest finds it here
)
from longwire.journal import Journal

ROUNDS = 12

WORKER = """
import asyncio, sys
from pathlib import Path
from longwire.journal import Arrivals, Journal, store
from longwire_protocol.frames import HandedOver

store._CHECKPOINT_FRAMES = 50  # many checkpoints

async def work(path):
    journal = await Journal.open(path)

    async def load():
        while True:
            done = asyncio.get_running_loop().create_future()
            events = [HandedOver(n, "x", None, None, 1.0, bytes(3000)) for n in range(20)]
            journal.append(Arrivals("a", "t", events), done=done.set_result)
            print((await done).stored[-1].seq, flush=True)

    async def clean():
        while True:
            await journal.remove_through(max(0, journal.head - 500))
            await journal.give_back((await journal.holdings()).free_pages)
            journal.put_state("k", journal.head)

    await asyncio.gather(load(), clean())

asyncio.run(work(Path(sys.argv[1])))
"""


def work_and_die(path: Path, *, commits: int) -> int:
    """Run the worker until so many commits are reported, kill it, and return the last number that was."""
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, str(path)], stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        acked = [int(worker.stdout.readline()) for _ in range(commits)]
        worker.kill()
        acked += [int(line) for line in worker.stdout if line.endswith("\n")]
        assert worker.wait(DEADLINE_S) == -9
    return acked[-1]


async def all_numbers(journal: Journal) -> list[int]:
    found: list[int] = []
    position = journal.removed_to
    while position < journal.head:
        page = await journal.read(position, limit=1000, max_bytes=2**24)
        found += numbers(page.events)
        position = page.read_to
    return found


async def test_a_journal_killed_in_the_middle_of_its_upkeep_has_everything_it_should(path: Path) -> None:
    dice = random.Random("upkeep")  # noqa: S311  # the same each time
    removed_to = 0
    for _ in range(ROUNDS):
        acked = await asyncio.to_thread(work_and_die, path, commits=dice.randrange(1, 120))
        async with opened(path) as journal:
            assert journal.head >= acked
            assert journal.removed_to >= removed_to
            assert journal.removed_to <= journal.head
            # Numbers have no gaps here, as nothing is a duplicate.
            assert await all_numbers(journal) == list(range(journal.removed_to + 1, journal.head + 1))
            assert journal.damage is None
            removed_to = journal.removed_to
    assert removed_to > 0
