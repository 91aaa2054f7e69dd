"""Chats that wait before they go on, by when."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import count

from longwire.delivery.chats import Chat

_SLACK = 8
"""A chat that no longer waits leaves its delay behind; these may outnumber the events held twofold and by so
many before they are cleaned up."""


class Delays:
    """A chat's own `wait_until` tells the truth; here is only who comes first."""

    def __init__(self) -> None:
        self._delays: list[tuple[float, int, Chat]] = []
        self._numbers = count()

    def __len__(self) -> int:
        """How many are remembered, also of chats that no longer wait."""
        return len(self._delays)

    @property
    def next_at(self) -> float | None:
        """Return when to call `ended`, or earlier; `None` for never."""
        return self._delays[0][0] if self._delays else None

    def add(self, chat: Chat, *, until: float, held: int) -> None:
        """Let it wait, at least until then; `held` is how many events there are that may wait."""
        chat.wait_until = until if chat.wait_until is None else max(until, chat.wait_until)
        heappush(self._delays, (chat.wait_until, next(self._numbers), chat))
        if len(self._delays) > 2 * held + _SLACK:
            self._delays = [delay for delay in self._delays if delay[2].wait_until == delay[0]]
            heapify(self._delays)

    def ended(self, now: float) -> Iterator[Chat]:
        """Go through those that wait no more."""
        while self._delays and self._delays[0][0] <= now:
            until, _, chat = heappop(self._delays)
            if chat.wait_until == until:
                chat.wait_until = None
                yield chat
