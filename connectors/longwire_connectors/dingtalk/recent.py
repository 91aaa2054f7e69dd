"""What was seen of late, by name: bounded, the oldest forgotten first. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

V = TypeVar("V")

MAX_KEPT = 1000
"""Some 200 bytes each: enough for what people still talk about."""


class Recent(Generic[V]):
    """Values by name."""

    def __init__(self, *, most: int = MAX_KEPT) -> None:
        self._most = most
        self._kept: OrderedDict[str, V] = OrderedDict()

    def put(self, name: str, value: V) -> None:
        """Remember a value as the newest."""
        self._kept[name] = value
        self._kept.move_to_end(name)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def get(self, name: str) -> V | None:
        """Return the value, `None` if it is not known any more."""
        return self._kept.get(name)
