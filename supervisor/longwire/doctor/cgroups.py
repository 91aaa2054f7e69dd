"""What the control group of this process leaves it: memory, and processes with threads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

OWN: Final = Path("/proc/self/cgroup")
ROOT: Final = Path("/sys/fs/cgroup")

_NO_LIMIT: Final = 1 << 60
"""Version 1 has no word for it, but a number near 2**63."""


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What is left. `None`: there is no such controller; `inf`: no limit."""

    memory: float | None = None
    """Bytes, the cache that the kernel can drop included."""
    tasks_limit: float | None = None
    tasks: int | None = None


def room(own: Path = OWN, root: Path = ROOT) -> Room:
    """Return what is left in the narrowest of the groups around this process, of version 1 or 2.

    Raises:
        OSError, ValueError: they are not there, or have no known form.
    """
    memory: list[float] = []
    tasks: list[tuple[float, float, int]] = []
    for controllers, path in _groups(own):
        for group in _upwards(controllers, path, root):
            limit = _limit(group / "memory.max") or _limit(group / "memory.limit_in_bytes")
            if limit is not None:
                memory.append(limit - _used_bytes(group))
            limit = _limit(group / "pids.max")
            if limit is not None:
                current = int(_number(group / "pids.current"))
                tasks.append((limit - current, limit, current))
    _, tasks_limit, used = min(tasks, default=(0, None, None))
    return Room(memory=min(memory, default=None), tasks_limit=tasks_limit, tasks=used)


def _groups(own: Path) -> Iterator[tuple[str, str]]:
    for line in own.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in {"", "memory", "pids"}:  # "" is version 2, which has all
            yield controllers, path.lstrip("/")


def _upwards(controllers: str, path: str, root: Path) -> Iterator[Path]:
    """Yield the group and those around it; in a container's namespace only its root may be there."""
    base = root / controllers
    group = base / path
    for each in (group, *group.parents):
        if each.is_dir():
            yield each
        if each == base:
            return


def _limit(path: Path) -> float | None:
    if not path.is_file():
        return None
    number = _number(path)
    return float("inf") if number >= _NO_LIMIT else number


def _number(path: Path) -> float:
    text = path.read_text().strip()
    return float("inf") if text == "max" else int(text)


def _used_bytes(group: Path) -> float:
    """Return what is in use, without the file cache that would be dropped first."""
    for used, cache in (
        ("memory.current", "inactive_file"),
        ("memory.usage_in_bytes", "total_inactive_file"),
    ):
        if (group / used).is_file():
            stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            return _number(group / used) - int(stat.get(cache, 0))
    return 0.0
