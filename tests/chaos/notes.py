"""What must be in the journal's small states: the last value that was saved, or one that was put since."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count


class Notes:
    """Values put under keys, each another number; and the incarnations of accounts."""

    def __init__(self) -> None:
        self._values = count(1)
        self._candidates: dict[str, list[int | None]] = {}
        self._incarnations: dict[str, int] = {}

    def put(self, key: str) -> int:
        value = next(self._values)
        self._candidates.setdefault(key, [None]).append(value)
        return value

    def saved(self, key: str, value: int) -> None:
        """This value, or one that was put after it, is on disk."""
        candidates = self._candidates[key]
        if value in candidates:
            del candidates[: candidates.index(value)]

    def all_saved(self) -> None:
        for candidates in self._candidates.values():
            del candidates[:-1]

    def incarnated(self, account: str, number: int) -> None:
        assert number > self._incarnations.get(account, 0), "no number is given twice"
        self._incarnations[account] = number

    def recover(self, found: Mapping[str, int]) -> None:
        for key, candidates in self._candidates.items():
            assert found.get(key) in candidates, f"{key}: {found.get(key)}, not one of {candidates}"
            self._candidates[key] = [found.get(key)]
