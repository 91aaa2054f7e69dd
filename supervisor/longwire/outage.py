"""Whether many accounts of a connector fail together: then it is the platform or the network, not they.

Pure, with the time as an argument; one `Outage` per connector. It begins when many accounts that were well,
or that were never tried, fail within a short window. While it lasts their attempts share a slow pace: each
one is a question to the platform, and more of them would neither bring an answer sooner nor help it up. A
success doubles the pace, a failure halves it. It is over at the usual pace, or when fewer accounts are left
in it than make one.

What counts are lost links and refusals. A crash or a hang of ours does not, nor does a refusal for good of an
account that was never online with the configuration it has: that says something of its configuration.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Set as AbstractSet

WINDOW_S = 30.0
"""Within which accounts must begin to fail. Dead links of a network that is gone are noticed over a third of
their link timeout, 20 s, as that is how far their pings are apart."""
LEAST_ACCOUNTS = 5
"""Fewer never make an outage: they may well have one fault of their own, as one tenant's wrong secret."""
LEAST_SHARE = 0.5
"""Of the connector's accounts that are to run: where most are well, the platform is."""
PROBES_PER_S = 1.0
"""The slow pace: an end is noticed within a second, and a platform that just comes up is not run over."""


class Outage:
    """What is known of one connector's accounts that fail.

    Args:
        usual_per_s: the pace of their attempts while there is no outage.
    """

    def __init__(self, *, usual_per_s: float) -> None:
        self.since: float | None = None
        """When the present one began; `None` without one."""
        self._usual_per_s = usual_per_s
        self._slow_per_s = min(PROBES_PER_S, usual_per_s / 2)
        self._pace_per_s = usual_per_s
        self._failing: dict[str, tuple[float, str]] = {}
        """Since when each account fails, and why; those for longer than the window, too."""

    @property
    def is_on(self) -> bool:
        """Whether there is one."""
        return self.since is not None

    @property
    def pace_per_s(self) -> float:
        """Attempts per second of all accounts together."""
        return self._pace_per_s if self.is_on else self._usual_per_s

    @property
    def reason(self) -> str:
        """What most of its accounts failed with."""
        found = Counter(self._failing[account][1] for account in self.accounts)
        return found.most_common(1)[0][0] if found else ""

    @property
    def accounts(self) -> list[str]:
        """Who is in it: those that fail, and began to not long before it did."""
        if self.since is None:
            return []
        return self._begun_since(self.since - WINDOW_S)

    def failed(self, account: str, reason: str, *, now: float, wanted: AbstractSet[str]) -> None:
        """Note a lost link or a failed attempt.

        Args:
            account: whose.
            reason: the constant name.
            now: seconds, on any clock that does not step.
            wanted: the connector's accounts that are to run and do not wait for an operator.
        """
        since, _ = self._failing.get(account, (now, ""))
        self._failing[account] = (since, reason)
        if self.is_on:
            self._pace_per_s = max(self._slow_per_s, self._pace_per_s / 2)
        elif self._is_outage(self._begun_since(now - WINDOW_S), wanted):
            self.since, self._pace_per_s = now, self._slow_per_s

    def proven(self, account: str) -> None:
        """Note that a link is up."""
        self._failing.pop(account, None)
        self._pace_per_s = min(self._usual_per_s, self._pace_per_s * 2)
        if self._pace_per_s >= self._usual_per_s or len(self.accounts) < LEAST_ACCOUNTS:
            self._end()

    def left(self, account: str) -> None:
        """Forget an account that is not to run any more."""
        self._failing.pop(account, None)
        if len(self.accounts) < LEAST_ACCOUNTS:
            self._end()

    def _begun_since(self, begin: float) -> list[str]:
        return [account for account, (since, _) in self._failing.items() if since >= begin]

    @staticmethod
    def _is_outage(failing: list[str], wanted: AbstractSet[str]) -> bool:
        """Return whether so many make one; those that were parked for it just now were to run, too."""
        return len(failing) >= max(LEAST_ACCOUNTS, LEAST_SHARE * len(wanted | set(failing)))

    def _end(self) -> None:
        """Be over; those that are left in it count again when they fail again."""
        if self.is_on:
            self.since = None
            self._failing.clear()
