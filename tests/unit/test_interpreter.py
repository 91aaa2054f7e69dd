"""Another interpreter: what it inherits, and what is said when it does not fit."""

from __future__ import annotations

import sys

from longwire.interpreter import (
    environment_for,
    install_hint,
    program_of,
    protocol_mismatch,
    version_mismatch,
)
from longwire_protocol.version import __version__

OTHER = "/opt/other/bin/python"
ENVIRONMENT = {"PATH": "/bin", "PYTHONPATH": "/ours", "PYTHONHOME": "/ours", "VIRTUAL_ENV": "/ours"}


def test_ours_is_the_one_that_runs_us() -> None:
    assert program_of(None) == sys.executable
    assert program_of(OTHER) == OTHER


def test_another_one_is_not_told_where_our_modules_are() -> None:
    assert environment_for(None, ENVIRONMENT) == ENVIRONMENT
    assert environment_for(OTHER, ENVIRONMENT) == {"PATH": "/bin"}


def test_another_release_is_mended_where_it_is() -> None:
    assert protocol_mismatch(7, None).endswith("restart us")
    assert "version 7" in protocol_mismatch(7, OTHER)
    assert f"{OTHER} -m pip install" in protocol_mismatch(7, OTHER)
    assert version_mismatch("0.0.9", None).endswith("restart us")
    assert f"longwire 0.0.9, we are {__version__}; install" in version_mismatch("0.0.9", OTHER)
    assert f"it has another longwire, we are {__version__}; install" in version_mismatch(None, OTHER)
    assert install_hint(None) == ""
