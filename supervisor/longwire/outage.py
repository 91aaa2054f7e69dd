"""Whether many accounts of a connector fail together: then it is the platform or the network, not they.

Pure, with the time as an argument; one `Outage` per connector. It begins when many accounts that were well,
or that were never tried, fail within a short window. While it lasts their attempts share a slow pace: each
one is a question to the platform, and more of them would neither bring an answer sooner nor help it up. A
success doubles the pace, a failure halves it. It is over at the usual pace, or when fewer accounts are left
in it than make one.

What counts are lost links and refusals. A crash or a hang of ours does not, nor does a refusal for good of an
account that was never online with the configuration it has: that says something of its configuration. Where
all that an account ever heard is a refusal for good, as after a start, nearly all must hear the same, and no
link may be up: apps that somebody disabled are not believed to be an outage.

Why it comes to an end. Once a link is made in it, the platform works, at least for some; who then still
fails has a trouble of its own. So while such a link stands nobody enters, and each attempt takes its account
a step towards the exit: a success is the exit, the third failure likewise. With n accounts in it these are at
most 3 n attempts. Links that were there before say less, as a platform may refuse new ones alone: they count
after some minutes. So it lasts only while no link can be made; and there a refusal for good is believed after
the same minutes. Who left it by failing, or failed twice beside such a link when it ends, makes no other one
until it was well again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Set as AbstractSet

import msgspec

WINDOW_S = 30.0
"""Within which accounts must begin to fail. Dead links of a network that is gone are noticed over a third of
their link timeout, 20 s, as that is how far their pings are apart."""
LEAST_ACCOUNTS = 5
"""Fewer never make an outage: they may well have one fault of their own, as one tenant's wrong secret."""
LEAST_SHARE = 0.5
"""Of the connector's accounts that are to run: where most are well, the platform is."""
REFUSED_SHARE = 0.9
"""Likewise, where it takes refusals for good to be as many: a platform that has lost its mind takes nobody,
and the tenth is for accounts of which nothing was heard, as their processes fail."""
PROBES_PER_S = 1.0
"""The slow pace: an end is noticed within a second, and a platform that just comes up is not run over."""
PATIENCE_S = 600.0
"""For how long refusals for good are not believed, and links from before say nothing. Longer than both
platforms' longest backoff (300 s), so that each account has asked again."""
TRIES = 3
"""Failures of an account beside a link that stands. Not one: a platform comes back piece by piece."""


class _Failing(msgspec.Struct):
    """An account that fails, perhaps with others."""

    since: float
    reason: str
    is_refused: bool
    """Whether all that it heard since then were refusals for good."""


class Outage:
    """What is known of one connector's accounts that fail.

    Args:
        usual_per_s: the pace of their attempts while there is no outage.
    """

    def __init__(self, *, usual_per_s: float) -> None:
        self.since: float | None = None
        """When the present one began; `None` without one."""
        self.left_over = 0
        """How many accounts still failed when the last one ended."""
        self._usual_per_s = usual_per_s
        self._slow_per_s = min(PROBES_PER_S, usual_per_s / 2)
        self._pace_per_s = usual_per_s
        self._wanted: set[str] = set()
        self._up: set[str] = set()
        self._answered: set[str] = set()
        """Of those that are up, whose link was made in the present outage."""
        self._tries = Counter[str]()
        """How often each failed in the present outage beside a link that stands, be it in it or not."""
        self._failing: dict[str, _Failing] = {}
        """Who is in it; without one, who began to fail within the window. The longest ago comes first."""
        self._apart: set[str] = set()
        """Who fails, but for longer, or for itself; until it was well."""

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
        found = Counter(self._failing[account].reason for account in self.accounts)
        return found.most_common(1)[0][0] if found else ""

    @property
    def accounts(self) -> AbstractSet[str]:
        """Who is in it."""
        return self._failing.keys() if self.is_on else frozenset()

    def failed(
        self, account: str, reason: str, *, now: float, is_refused: bool = False, was_online: bool = True
    ) -> bool:
        """Note a lost link or a failed attempt; return whether there is an outage that excuses it.

        Args:
            account: whose.
            reason: the constant name.
            now: seconds, on any clock that does not step.
            is_refused: whether the platform refused it for good.
            was_online: whether its link was ever proven with the configuration it has.
        """
        self._is_down(account)
        failing = _Failing(now, reason, is_refused)
        does_count = account not in self._apart and (was_online or not is_refused)
        if self.since is not None:
            return self._failed_in_it(account, failing, since=self.since, does_count=does_count)
        self._part(now)
        if does_count and account not in self._apart:
            self._note(account, failing)
            self._begin_if_many(now)
        return self.is_on

    def proven(self, account: str) -> None:
        """Note that a link is up."""
        self._wanted.add(account)
        self._up.add(account)
        self._forget(account)
        if self.is_on:
            self._answered.add(account)
            self._pace_per_s = min(self._usual_per_s, self._pace_per_s * 2)
        if self._pace_per_s >= self._usual_per_s:
            self._end()
        self._end_if_few()

    def seen(self, account: str, *, is_wanted: bool, is_up: bool) -> None:
        """Note how an account is, after whatever happened to it.

        Who is parked leaves an outage, as it asks no more; before one it still counts among those that fail.

        Args:
            account: which.
            is_wanted: whether it is to run, and waits for no operator.
            is_up: whether its link is proven; when it became so, `proven` was told.
        """
        (self._wanted.add if is_wanted else self._wanted.discard)(account)
        if not is_up:
            self._is_down(account)
        if self.is_on and not is_wanted:
            self._failing.pop(account, None)
            self._end_if_few()

    def left(self, account: str) -> None:
        """Forget an account that is not to run any more."""
        self.seen(account, is_wanted=False, is_up=False)
        self._forget(account)

    def _failed_in_it(self, account: str, failing: _Failing, *, since: float, does_count: bool) -> bool:
        """Note a failure in the outage that began at `since`; return whether it is excused."""
        if self._is_its_own(account, failing, lasts_s=failing.since - since):
            if self._failing.pop(account, None) is not None:
                self._apart.add(account)
            self._end_if_few()
            return False
        if does_count:
            self._note(account, failing)
            self._pace_per_s = max(self._slow_per_s, self._pace_per_s / 2)
        return True

    def _is_its_own(self, account: str, failing: _Failing, *, lasts_s: float) -> bool:
        """Return whether the outage has nothing to do with a failure; count it, if a link stands."""
        is_long = lasts_s >= PATIENCE_S
        if failing.is_refused and is_long:
            return True
        if not (self._answered or (self._up and is_long)):
            return False
        self._tries[account] += 1
        was_well = account not in self._failing  # or it has left it
        return was_well or self._tries[account] >= TRIES

    def _note(self, account: str, failing: _Failing) -> None:
        known = self._failing.setdefault(account, failing)
        known.reason = failing.reason
        known.is_refused = known.is_refused and failing.is_refused

    def _part(self, now: float) -> None:
        """Tell apart who began to fail so long ago that it was not with those that begin now."""
        while self._failing:
            account, first = next(iter(self._failing.items()))
            if first.since >= now - WINDOW_S:
                return
            del self._failing[account]
            self._apart.add(account)

    def _begin_if_many(self, now: float) -> None:
        if self._is_outage():
            self.since, self._pace_per_s = now, self._slow_per_s
            self._answered.clear()
            self._tries.clear()

    def _is_outage(self) -> bool:
        """Return whether so many make one; those that were parked for it just now were to run, too."""
        many = len(self._failing)
        if many < max(LEAST_ACCOUNTS, LEAST_SHARE * len(self._wanted)):
            return False
        wanted = len(self._wanted | self._failing.keys())
        lost = sum(not failing.is_refused for failing in self._failing.values())
        if lost >= max(LEAST_ACCOUNTS, LEAST_SHARE * wanted):
            return True
        return not self._up and many >= REFUSED_SHARE * wanted

    def _is_down(self, account: str) -> None:
        self._up.discard(account)
        self._answered.discard(account)

    def _forget(self, account: str) -> None:
        self._failing.pop(account, None)
        self._apart.discard(account)
        self._tries.pop(account, None)

    def _end_if_few(self) -> None:
        if len(self._failing) < LEAST_ACCOUNTS:
            self._end()

    def _end(self) -> None:
        """Be over; those that are left in it count again when they fail again, if they hardly tried."""
        if self.is_on:
            self.since, self.left_over = None, len(self._failing)
            self._failing.clear()
            self._apart.update(account for account, tries in self._tries.items() if tries > 1)
