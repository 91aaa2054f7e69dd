"""What is to be looked at when: one time for each thing, the earliest first."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import Final, Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)

_SLACK: Final = 64
"""The heap may hold twice what is valid and this much more before it is cleaned. So cleaning costs next to
nothing for each change, and what was called off takes no room until its time would have come."""


class Agenda(Generic[_Key]):
    """Times by key; each operation O(log n), taken over many of them."""

    def __init__(self) -> None:
        self._times: dict[_Key, float] = {}
        self._heap: list[tuple[float, int, _Key]] = []
        """What is no longer in `_times` with that time was called off."""
        self._numbers = count()
        self.quiet_until = inf
        """Nothing is due before this."""

    def set(self, key: _Key, at: float) -> None:
        """Let it come up at this time, and at no other; never for `inf`."""
        if at == inf:
            self.discard(key)
        else:
            self._times[key] = at
            self.quiet_until = min(self.quiet_until, at)
            heappush(self._heap, (at, next(self._numbers), key))
            self._tidy()

    def discard(self, key: _Key) -> None:
        """Call it off, if it is there."""
        self._times.pop(key, None)

    def first_at(self) -> float:
        """Return the earliest time; `inf` if there is none."""
        while self._heap and self._times.get(self._heap[0][2]) != self._heap[0][0]:
            heappop(self._heap)
        self.quiet_until = self._heap[0][0] if self._heap else inf
        return self.quiet_until

    def pop_due(self, now: float) -> Iterator[_Key]:
        """Take out whose time has come, the earliest first; of the same time, as they were set."""
        while self.first_at() <= now:
            _, _, key = heappop(self._heap)
            del self._times[key]
            yield key

    def __len__(self) -> int:
        return len(self._times)

    def _tidy(self) -> None:
        if len(self._heap) > 2 * len(self._times) + _SLACK:
            self._heap = [entry for entry in self._heap if self._times.get(entry[2]) == entry[0]]
            heapify(self._heap)
