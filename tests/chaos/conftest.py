"""A simulator whose redelivery ladder is short, a supervisor, and a voice that pytest does not swallow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from chaos.platform import TIME_SCALE
from harness.longwire import Longwire
from harness.simulator import Simulator
from harness.targets.client import Targets


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print a line now, whatever pytest captures: how to repeat a campaign, and what it went through."""

    def shown(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}", end="", flush=True)  # noqa: T201

    return shown


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    async with await Simulator.start(tmp_path, time_scale=TIME_SCALE) as client:
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
