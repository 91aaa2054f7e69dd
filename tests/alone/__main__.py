"""Plays rows, some side by side, and prints what was seen."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from alone import calls_rows, dingtalk_rows, hook_rows, lark_rows  # the folder of tests is no package

SIDE_BY_SIDE = 4
ROWS = {**lark_rows.ROWS, **dingtalk_rows.ROWS, **calls_rows.ROWS, **hook_rows.ROWS}


async def main(names: list[str]) -> None:
    """Play the rows named, or all."""
    gate = asyncio.Semaphore(SIDE_BY_SIDE)
    async with asyncio.TaskGroup() as tasks:
        for name in names or ROWS:
            tasks.create_task(_play(name, ROWS[name], gate), name=name)


async def _play(name: str, row: Callable[[], Awaitable[str]], gate: asyncio.Semaphore) -> None:
    async with gate:
        try:
            seen = await row()
        except Exception as error:  # noqa: BLE001  # the other rows go on
            seen = f"failed: {error!r}"
        print(f"{name}: {seen}", flush=True)  # noqa: T201


asyncio.run(main(sys.argv[1:]))
