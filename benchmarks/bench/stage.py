"""What measures run on: a simulator, a supervisor, and the rest of a run that is measured only once."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from harness.longwire import Longwire
from harness.simulator import Simulator

PROGRAMS = Path(__file__).parents[1] / "programs"

_INSIDE = Path(__file__).parents[1] / "inside"

_numbers = itertools.count(1)

Accounts = Callable[[str], dict[str, dict[str, Any]]]
"""From the simulator's URL to the accounts."""


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the benchmarks."""

    folder: Path
    """For everything that is written; short, because sockets lie in it."""
    is_quick: bool
    is_kept: bool = False
    """Whether the folder stays, to be looked at."""

    def pick(self, quick: int, full: int) -> int:
        """Return how much to do."""
        return quick if self.is_quick else full

    def new_folder(self) -> Path:
        """Return an empty folder."""
        folder = self.folder / str(next(_numbers))
        folder.mkdir()
        return folder

    @contextmanager
    def part(self) -> Iterator[Bench]:
        """Lend a bench for a part of the run; what it wrote goes with it: a million events are a gigabyte."""
        folder = self.new_folder()
        try:
            yield msgspec.structs.replace(self, folder=folder)
        finally:
            if not self.is_kept:
                shutil.rmtree(folder)


class Stage(msgspec.Struct, frozen=True):
    """A simulator and a supervisor that is configured and not started."""

    folder: Path
    simulator: Simulator
    longwire: Longwire


def inside(folder: Path) -> dict[str, str]:
    """Return an environment in which children have what lies in `../inside`, from a copy in this folder."""
    path = folder / "inside"
    shutil.copytree(_INSIDE, path)
    return {"PYTHONPATH": str(path)}


@asynccontextmanager
async def simulated(folder: Path) -> AsyncIterator[Simulator]:
    """Run a simulator."""
    async with await Simulator.start(folder) as simulator:
        try:
            yield simulator
        finally:
            await simulator.program.stop()


@asynccontextmanager
async def staged(bench: Bench, accounts: Accounts, **defaults: Any) -> AsyncIterator[Stage]:
    """Run a simulator and prepare a supervisor with these accounts; both are down afterwards."""
    folder = bench.new_folder()
    async with simulated(folder) as simulator:
        longwire = Longwire(folder)
        longwire.configure(accounts(simulator.url), defaults=defaults)
        try:
            yield Stage(folder, simulator, longwire)
        finally:
            await longwire.close()
