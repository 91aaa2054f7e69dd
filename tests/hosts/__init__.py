"""Programs that embed a supervisor: run by the tests as processes of their own, they print JSON lines."""

from __future__ import annotations

import json
from typing import Any


def say(**fields: Any) -> None:
    """Print a line for the test."""
    print(json.dumps(fields), flush=True)  # noqa: T201  # that is how it speaks


def loopback(folder: str, *names: str, **settings: Any) -> dict[str, Any]:
    """Return a configuration with accounts that have no platform."""
    return {
        "supervisor": {"data_dir": folder},
        "defaults": settings,
        "accounts": {name: {"connector": "loopback", "echo": True} for name in names},
    }
