"""Platform proof: how old Lark's last answer may get, and a watch over it.

Socket proof (`longwire_connectors.proof`) shows that the peer's TCP end lives; a middlebox can give it while
nobody routes anything (lark-oapi looks at no pong at all). So Lark's own pongs count apart.
"""

from __future__ import annotations

import math

from longwire_connectors.base import Account
from longwire_connectors.proof import SilenceWatch

MIN_PING_INTERVAL_S = 1.0
MAX_PING_INTERVAL_S = 600.0
"""What a PingInterval is clamped to: 0 makes the SDK send 9,500 pings a second, None ends its ping loop."""
DEFAULT_INTERVAL_S = 120.0
"""While the platform has not said another: the SDK's own (ws/client.py 172; the same in Go and Node)."""
MISSED_PINGS = 3
"""Two pongs may get lost before the third decides."""
MAX_FIRST_ANSWER_S = 30.0
"""The first ping leaves at once, so a healthy platform answers within a round trip; more is never online."""
MAX_LOOK_S = 5.0
"""Looks at the clock are at most this far apart, so that a limit the platform shortens holds soon."""


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


class PlatformProof(SilenceWatch):
    """Watches the age of the platform's last answer. Made in the loop, once the connection is open.

    The limit may change with each answer, because each may bring another PingInterval.
    """

    def __init__(self, *, limit_s: float) -> None:
        super().__init__(limit_s=limit_s, max_look_s=MAX_LOOK_S)

    def note(self, *, limit_s: float) -> None:
        """Note an answer; the next one is due within `limit_s` seconds."""
        self.renew(limit_s)
