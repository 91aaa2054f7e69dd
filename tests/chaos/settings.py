"""How a campaign's accounts are set up, and what that allows them."""

from __future__ import annotations

import msgspec

from chaos.judges.law import Law
from chaos.judges.proof import Windows


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The `[defaults]` of a campaign; the fields are the configuration's keys."""

    heartbeat_interval_s: float
    heartbeat_timeout_s: float
    backoff_initial_s: float
    backoff_max_s: float
    stable_after_s: float
    link_timeout_s: float

    def windows(self, *, margin_s: float) -> Windows:
        """Return how old proof may be."""
        return Windows(
            link_timeout_s=self.link_timeout_s,
            heartbeat_timeout_s=self.heartbeat_timeout_s,
            margin_s=margin_s,
        )

    def law(self, *, slack_s: float) -> Law:
        """Return how soon attempts may follow each other."""
        return Law(
            initial_s=self.backoff_initial_s,
            cap_s=self.backoff_max_s,
            stable_after_s=self.stable_after_s,
            notice_s=self.heartbeat_timeout_s + slack_s,
            slack_s=slack_s,
        )


HASTY = Settings(
    heartbeat_interval_s=0.2,
    heartbeat_timeout_s=1.5,
    backoff_initial_s=0.05,
    backoff_max_s=0.5,
    stable_after_s=2.0,
    link_timeout_s=3.0,
)
"""Short, so that much happens in little time."""

BRISK = Settings(
    heartbeat_interval_s=0.5,
    heartbeat_timeout_s=2.0,
    backoff_initial_s=1.0,
    backoff_max_s=8.0,
    stable_after_s=10.0,
    link_timeout_s=3.0,
)
"""For half a minute: silence is noticed soon, and each delay can be told from the next."""

STEADY = Settings(
    heartbeat_interval_s=0.5,
    heartbeat_timeout_s=3.0,
    backoff_initial_s=1.0,
    backoff_max_s=8.0,
    stable_after_s=10.0,
    link_timeout_s=6.0,
)
"""For half an hour: a busy machine does not look like a silent platform."""
