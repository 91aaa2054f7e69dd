"""Changes of state that wait for a host that is busy: bounded, and never without the latest of each: pure."""

from __future__ import annotations

from typing import NamedTuple

MOST = 1_000
"""Changes kept as they came; some hundred bytes each."""


class StateChange(NamedTuple):
    """An account came into another state."""

    account: str
    old: str
    """An account that was not there was `stopped`."""
    new: str
    reason: str | None
    """Why it is not online, a constant name."""


class Backlog:
    """What has happened since it was last taken.

    Beyond `most` changes there is one left for each account: from the first old state to the last new one. A
    host that is blocked for an hour learns where everything stands, and the core keeps no more than that.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._changes: list[StateChange] = []

    def add(self, change: StateChange) -> None:
        """Keep one more."""
        self._changes.append(change)
        if len(self._changes) > self._most:
            self._fold()

    def take(self) -> list[StateChange]:
        """Return what waits, oldest first, and keep it no longer."""
        taken, self._changes = self._changes, []
        return taken

    def _fold(self) -> None:
        folded: dict[str, StateChange] = {}
        for change in self._changes:
            first = folded.pop(change.account, change)
            folded[change.account] = change._replace(old=first.old)
        self._changes = list(folded.values())
        self._most = max(self._most, 2 * len(self._changes))  # else each change of so many would fold again
