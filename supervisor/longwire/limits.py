"""What a child takes of the machine, and what is too much: pure, with the time as an argument.

A child over a limit is replaced, planned: see `lifecycle`. One that is over it again soon after that is not
replaced again and again, but its limit is too low, or its leak too fast, and the operator is told so.
"""

from __future__ import annotations

import msgspec

_MIB = 1024 * 1024

_URGENT = 2
"""So many times its memory limit, a child leaves no room for a second one beside it."""

_FIRST_WAIT_S, _LONGEST_WAIT_S = 60.0, 600.0
"""The least time between two replacements of an account; it doubles with each that comes soon."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of an account's child, as `status` shows them."""

    memory_mb: int
    cpu_percent: float
    """Of one core; 0 for none."""
    open_files: int
    nice: int


class Excess(msgspec.Struct, frozen=True, kw_only=True):
    """What a child takes too much of."""

    reason: str
    message: str
    user_action: str
    user_action_zh: str
    is_urgent: bool = False
    """Whether there is no room for a second process beside it."""


class Meter:
    """What one process takes.

    Args:
        pid: the process.
        window_s: over how long the CPU is measured that a limit is compared with, at least.
    """

    def __init__(self, pid: int, *, window_s: float) -> None:
        self.pid = pid
        self.rss_bytes: int | None = None
        self.pss_bytes: int | None = None
        self.is_weighed = False
        """Whether its share of memory was asked for."""
        self.cpu_percent: float | None = None
        """Of one core, between the last two looks."""
        self._window_s = window_s
        self._last: tuple[float, float] | None = None
        self._begin: tuple[float, float] | None = None
        self._sustained: float | None = None

    def look(self, now: float, *, rss_bytes: int, cpu_s: float) -> None:
        """Note resident memory, and the CPU time since the process began."""
        self.rss_bytes = rss_bytes
        seen = (now, cpu_s)
        if self._begin is None or self._last is None:
            self._begin = self._last = seen
            return
        self.cpu_percent = _percent(self._last, seen)
        if now - self._begin[0] >= self._window_s:
            self._sustained, self._begin = _percent(self._begin, seen), seen
        self._last = seen

    def weigh(self, pss_bytes: int | None) -> None:
        """Note its share of memory, which costs far more to learn; `None` where it cannot be read."""
        self.pss_bytes, self.is_weighed = pss_bytes, True

    def is_suspect(self, limits: Limits) -> bool:
        """Return whether its share must be known to judge it: it is never more than what is resident."""
        return self.rss_bytes is not None and self.rss_bytes > limits.memory_mb * _MIB

    def excess(self, limits: Limits) -> Excess | None:
        """Return what it takes too much of, by all that was noted."""
        if (used := self._memory_excess(limits)) is not None:
            return Excess(
                reason="memory_limit",
                message=f"its process takes {used // _MIB} MiB of memory, {limits.memory_mb} are allowed",
                user_action="raise memory_limit_mb, or look for the leak",
                user_action_zh="请调高 memory_limit_mb，或查找内存泄漏",
                is_urgent=used >= _URGENT * limits.memory_mb * _MIB,
            )
        if limits.cpu_percent and self._sustained is not None and self._sustained > limits.cpu_percent:
            return Excess(
                reason="cpu_limit",
                message=f"its process takes {self._sustained:.0f} % of a core, "
                f"{limits.cpu_percent:g} are allowed",
                user_action="raise cpu_limit_percent, or look for what keeps it busy",
                user_action_zh="请调高 cpu_limit_percent，或查找是什么让它持续繁忙",
            )
        return None

    def _memory_excess(self, limits: Limits) -> int | None:
        """Return the bytes in use where they are too many."""
        if not self.is_suspect(limits):
            return None
        used = self.rss_bytes if self.pss_bytes is None else self.pss_bytes
        return used if used is not None and used > limits.memory_mb * _MIB else None


class Recycling(msgspec.Struct):
    """Keeps the planned replacements of one account apart; times in seconds on the monotonic clock."""

    in_a_row: int = 0
    at: float | None = None
    """The last one."""

    def may(self, now: float) -> bool:
        """Return whether it is time for another one."""
        return self.at is None or now - self.at >= self._wait_s()

    def note(self, now: float) -> None:
        """Count one; those that come after more than twice their wait begin anew."""
        is_soon = self.at is not None and now - self.at < 2 * self._wait_s()
        self.in_a_row = self.in_a_row + 1 if is_soon else 1
        self.at = now

    def _wait_s(self) -> float:
        wait_s: float = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** (self.in_a_row - 1))
        return wait_s


def _percent(since: tuple[float, float], now: tuple[float, float]) -> float:
    """Return the percent of a core between two pairs of clock and CPU seconds."""
    elapsed_s = now[0] - since[0]
    return 100 * (now[1] - since[1]) / elapsed_s if elapsed_s > 0 else 0.0
