"""Lark's published limits on REST calls, as windows that slide. Pure: the caller brings the time.

1,000 a minute and 50 a second for each app and interface, 5 a second into one chat, to one card message, and
10 a second to one card entity (documents «frequency control», im-v1/message/create and patch, «streaming
updates»). How the platform counts is not established; a window that slides is the strictest reading.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable

import msgspec

__all__ = ["APP_LIMITS", "CARD_LIMITS", "CHAT_LIMITS", "Limit", "Windows"]

MAX_KEYS = 100_000


class Limit(msgspec.Struct, frozen=True):
    """So many within so many seconds."""

    most: int
    within_s: float


APP_LIMITS = (Limit(50, 1.0), Limit(1000, 60.0))
CHAT_LIMITS = (Limit(5, 1.0),)
CARD_LIMITS = (Limit(10, 1.0),)


class Windows:
    """When what was admitted, by key; the key not used for longest is forgotten first."""

    def __init__(self) -> None:
        self._admitted: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, key: str, *, limits: Iterable[Limit], now: float) -> float:
        """Return after how many seconds one more is within the limits; 0 for now."""
        times = self._admitted.get(key, deque())
        waits = [times[-limit.most] + limit.within_s - now for limit in limits if len(times) >= limit.most]
        return max(0.0, *waits) if waits else 0.0

    def admit(self, key: str, *, limits: Iterable[Limit], now: float) -> None:
        """Count one."""
        times = self._admitted.setdefault(key, deque(maxlen=max(limit.most for limit in limits)))
        times.append(now)
        self._admitted.move_to_end(key)
        if len(self._admitted) > MAX_KEYS:
            self._admitted.popitem(last=False)
