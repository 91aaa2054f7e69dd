"""Platform proof: how old Lark's last answer may get, and a watch over it.

Socket proof (`longwire_connectors.proof`) shows that the peer's TCP end lives; a middlebox can give it while
nobody routes anything (lark-oapi looks at no pong at all). So Lark's own pongs count apart.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Generator
from contextlib import contextmanager

from longwire_connectors.base import Account

MIN_PING_INTERVAL_S = 1.0
MAX_PING_INTERVAL_S = 600.0
"""What a PingInterval is clamped to: 0 makes the SDK send 9,500 pings a second, None ends its ping loop."""
DEFAULT_INTERVAL_S = 120.0
"""While the platform has not said another: the SDK's own (ws/client.py 172; the same in Go and Node)."""
MISSED_PINGS = 3
"""Two pongs may get lost before the third decides."""
MAX_FIRST_ANSWER_S = 30.0
"""The first ping leaves at once, so a healthy platform answers within a round trip; more is never online."""
LOOKS_PER_LIMIT = 20
MAX_LOOK_S = 5.0
"""Looks at the clock are at most this far apart, so that a limit the platform shortens holds soon."""
STEPS_PER_LOOK = 2.0
"""How far one look may let the age grow, in planned looks: an ordinary delay counts, a stop does not."""


def ping_interval_s(value: object, *, current_s: float) -> float:
    """Return the PingInterval to use, in seconds: `value` clamped, or `current_s` if it is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return current_s
    if isinstance(value, float) and math.isnan(value):
        return current_s
    return float(min(max(value, MIN_PING_INTERVAL_S), MAX_PING_INTERVAL_S))


def window_s(account: Account, *, interval_s: float) -> float:
    """Return how old a Lark pong may get: three intervals, or the longer link timeout the operator chose."""
    if account.is_link_timeout_explicit and account.link_timeout_s > interval_s:
        return account.link_timeout_s
    return MISSED_PINGS * interval_s


def first_answer_s(account: Account, *, interval_s: float) -> float:
    """Return how long a new connection may stay without any answer of the platform."""
    return min(account.link_timeout_s, window_s(account, interval_s=interval_s), MAX_FIRST_ANSWER_S)


class PlatformProof:
    """Watches the age of the platform's last answer, fair to a process that was itself stopped.

    Made in the loop, once the connection is open. The limit may change with each answer, because each may
    bring another PingInterval. As of socket proof, a look at the clock lets the age grow by a small step at
    most: after a stop, what waits in the socket is read before anybody is judged.
    """

    def __init__(self, *, limit_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._pauses = 0
        self.note(limit_s=limit_s)

    def note(self, *, limit_s: float) -> None:
        """Note an answer; the next one is due within `limit_s` seconds."""
        self.limit_s = limit_s
        self._look_s = min(limit_s / LOOKS_PER_LIMIT, MAX_LOOK_S)
        self._age_s = 0.0
        self._seen_at = self._loop.time()

    @contextmanager
    def paused(self) -> Generator[None]:
        """Not age while nothing is read on purpose: a pong cannot be seen behind a full buffer."""
        self._look()
        self._pauses += 1
        try:
            yield
        finally:
            self._look()
            self._pauses -= 1

    async def silence(self) -> None:
        """Return when the last answer is older than its limit."""
        while (left_s := self.limit_s - self._look()) > 0:  # noqa: ASYNC110  what it waits for is time
            await asyncio.sleep(min(left_s, self._look_s))

    def _look(self) -> float:
        """Let the age grow, unless reading is paused, and return it."""
        now = self._loop.time()
        if not self._pauses:
            self._age_s += min(now - self._seen_at, self._look_s * STEPS_PER_LOOK)
        self._seen_at = now
        return self._age_s
