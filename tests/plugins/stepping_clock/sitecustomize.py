"""On the PYTHONPATH of a supervisor, and so of its children: the wall clock is off by what a file says.

The file is `clock_step` in TMPDIR, which children know, too: seconds, of either sign.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

_FILE = Path(os.environ.get("TMPDIR", os.devnull)) / "clock_step"
_now = time.time


def _step_s() -> float:
    with suppress(OSError, ValueError):
        return float(_FILE.read_text(encoding="ascii"))
    return 0.0


time.time = lambda: _now() + _step_s()
time.time_ns = lambda: int(time.time() * 1_000_000_000)
