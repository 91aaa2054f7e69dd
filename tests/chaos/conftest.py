"""A seed, a simulator whose redelivery ladder is short, and a supervisor."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from chaos.platform import start_simulator
from harness.longwire import Longwire
from harness.simulator import Simulator

SHORT_SEED = 20_261_114
"""Of the campaign in `make test`, so that two runs of the same code differ only in their moments."""


@pytest.fixture
def seed(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Iterator[int]:
    is_soak = request.node.get_closest_marker("soak") is not None
    fallback = secrets.randbits(32) if is_soak else SHORT_SEED
    chosen = int(os.environ.get("LONGWIRE_SEED", fallback))
    with capsys.disabled():
        print(f"\n{request.node.name}: LONGWIRE_SEED={chosen}")  # noqa: T201  # to repeat it
    yield chosen
    with capsys.disabled():
        print(capsys.readouterr().out, end="")  # noqa: T201


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    async with await start_simulator(tmp_path) as client:
        yield client
    await client.program.stop()


@pytest.fixture
async def longwire(tmp_path: Path) -> AsyncIterator[Longwire]:
    under_test = Longwire(tmp_path)
    yield under_test
    await under_test.close()
