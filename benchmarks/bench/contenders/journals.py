"""Journals that were used before, for those who carry on with one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from bench.contenders.carrying import script
from bench.stage import Bench

_NAME = "journal.sqlite3"

_DEADLINE_S = 3600.0
"""For 20 million keys, which take three minutes on two cores with nothing else to do."""


async def used_journal(bench: Bench, what: Literal["events", "keys"], count: int) -> Path:
    """Return a new journal with so many events, or with so many dedup keys whose events are gone."""
    folder = bench.new_folder()
    async with script(folder, "journals", what, folder, count) as program:
        code = await program.ended(deadline_s=_DEADLINE_S)
        assert code == 0, program.text()
    return folder / _NAME


def place(journal: Path | None, folder: Path) -> None:
    """Copy a journal that nobody has open into a folder; make only the folder where there is none."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if journal is not None:
        shutil.copyfile(journal, folder / _NAME)
