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
    """Times by key; each operation O(log n), taken over many of them. What was called off is not held."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int]] = []
        """Times and numbers; one that is not in `_keys` was called off."""
        self._keys: dict[int, _Key] = {}
        self._numbers: dict[_Key, int] = {}
        self._count = count()
        self.quiet_until = inf
        """Nothing is due before this."""

    def set(self, key: _Key, at: float) -> None:
        """Let it come up at this time, and at no other; never for `inf`."""
        self.discard(key)
        if at == inf:
            return
        number = self._numbers[key] = next(self._count)
        self._keys[number] = key
        self.quiet_until = min(self.quiet_until, at)
        heappush(self._heap, (at, number))
        if len(self._heap) > 2 * len(self._keys) + _SLACK:
            self._heap = [entry for entry in self._heap if entry[1] in self._keys]
            heapify(self._heap)

    def discard(self, key: _Key) -> None:
        """Call it off, if it is there."""
        number = self._numbers.pop(key, None)
        if number is not None:
            del self._keys[number]

    def first_at(self) -> float:
        """Return the earliest time; `inf` if there is none."""
        while self._heap and self._heap[0][1] not in self._keys:
            heappop(self._heap)
        self.quiet_until = self._heap[0][0] if self._heap else inf
        return self.quiet_until

    def pop_due(self, now: float) -> Iterator[_Key]:
        """Take out whose time has come, the earliest first; of the same time, as they were set."""
        while self.first_at() <= now:
            key = self._keys[self._heap[0][1]]
            self.discard(key)
            yield key

    def __len__(self) -> int:
        return len(self._keys)
