"""What a program pays that is a client of a supervisor and runs none itself."""

from __future__ import annotations

import subprocess
import sys

SHOWN = """
import sys, longwire
heavy = {"structlog", "rich", "sqlite3", "psutil", "aiohttp", "longwire.core", "longwire.embedding"}
print(sorted(heavy & sys.modules.keys()))
longwire.Supervisor
print(sorted({"longwire.embedding", "lark_oapi", "dingtalk_stream"} & sys.modules.keys()))
"""


def test_who_imports_longwire_pays_for_no_supervisor() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHOWN], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == ["[]", "['longwire.embedding']"]
