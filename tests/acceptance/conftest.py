"""Real processes for the acceptance tests: one simulator and one supervisor each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.longwire import Longwire
from harness.simulator import Simulator
from harness.targets.client import Targets


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    async with await Simulator.start(tmp_path) as client:
        yield client
    await client.program.stop()


@pytest.fixture
async def longwire(tmp_path: Path) -> AsyncIterator[Longwire]:
    under_test = Longwire(tmp_path)
    yield under_test
    await under_test.close()


@pytest.fixture
async def targets(tmp_path: Path) -> AsyncIterator[Targets]:
    async with Targets(tmp_path) as its:
        yield its
