"""Paths as a configuration writes them: relative ones count from the file's own folder."""

from __future__ import annotations

import os
from pathlib import Path


def located(written: str, *, base: Path) -> Path:
    """Return the absolute path; `~` is the home folder.

    Raises:
        ValueError: a `~user` whose home is not known, or a zero byte.
    """
    if "\0" in written:
        raise ValueError("a path cannot hold a zero byte")
    try:
        return Path(os.path.normpath(base / Path(written).expanduser()))
    except RuntimeError:
        raise ValueError("the home folder in the path is not known") from None
