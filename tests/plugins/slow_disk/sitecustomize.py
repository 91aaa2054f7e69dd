"""On the PYTHONPATH of a supervisor: a disk on which no commit ends while the file `SLOW_DISK` is there."""

from __future__ import annotations

import os
import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import Any

_FLAG = Path(os.environ.get("SLOW_DISK", os.devnull + "/none"))
_LOOK_S = 0.02


class SlowConnection(sqlite3.Connection):
    """Waits before it commits, as a disk that hangs does: the writing thread stands still, nothing fails."""

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        while sql == "COMMIT" and _FLAG.exists():
            time.sleep(_LOOK_S)
        return super().execute(sql, *parameters)


sqlite3.connect = partial(sqlite3.connect, factory=SlowConnection)
