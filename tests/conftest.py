"""For every tier."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Generator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from harness import interpreters

# The same examples each time: a failure is the change's, not the day's. No verdict on a machine's speed.
settings.register_profile(
    "longwire", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("longwire")

# As in `longwire run`, our lines go through structlog, where `capture_logs` finds them.
structlog.configure()

# Tests started in the background of a shell have SIGINT ignored, and so would every program they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def bare_venv(tmp_path: Path) -> Path:
    """The interpreter of a virtual environment with nothing in it."""
    return interpreters.bare(tmp_path / "venv")


@pytest.fixture(scope="session")
def other_python(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The interpreter of an environment with other versions of the SDKs, made once: some 10 s.

    Modules that use it need a longer timeout, for a registry's bad days.
    """
    folder = tmp_path_factory.mktemp("other")
    yield str(interpreters.with_other_versions(folder))
    shutil.rmtree(folder)
