"""Backoff within its law: how soon after a failure the platform may see the next attempt.

After the n-th failure in a row a delay is uniform in [d/2, d] with d = min(cap, initial x 2^(n-1)). The
platform cannot see every failure (a child killed before it asked), but each one it does not see only makes
the next delay longer: so d/2 for the failures it saw is a lower bound that holds whatever else happened.

The count begins anew where the platform cannot know it: after a link that may have been stable, after a
command or a reload that concerns the account, after anything that befell the supervisor. A gap that contains
one of these is excused; so is one after DingTalk's own request for another connection.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from math import inf

import msgspec

from chaos.judges.facts import Span, Violation
from chaos.judges.history import Connection, History


class Law(msgspec.Struct, frozen=True, kw_only=True):
    """An account's settings, and what an observer from outside must grant."""

    initial_s: float
    cap_s: float
    stable_after_s: float
    notice_s: float
    """How late the supervisor may learn that a link ended: it may take one for stable that was not."""
    slack_s: float
    """How much later than the supervisor the platform may learn that a link ended."""

    def shortest_s(self, failures: int) -> float:
        """Return the least delay after so many failures in a row."""
        return min(self.cap_s, self.initial_s * 2.0 ** min(failures - 1, 64)) / 2


class Attempt(msgspec.Struct, frozen=True):
    """One request for a connection and what came of it."""

    asked_at: float
    links: list[Connection]

    @property
    def ended_at(self) -> float:
        """When it was over; endless while its connection is open."""
        return max((link.closed_at for link in self.links), default=self.asked_at)

    @property
    def lasted_s(self) -> float:
        """How long it gave a connection; 0 for none."""
        return max((link.lasted_s for link in self.links), default=0.0)

    @property
    def was_handed_over(self) -> bool:
        """Whether the platform asked for another one."""
        return any(link.farewell_at < inf for link in self.links)


def too_soon(history: History, account: str, law: Law, *, excused: Sequence[Span]) -> list[Violation]:
    """Return the attempts that came before their time."""
    found: list[Violation] = []
    failures = 0
    for attempt, following in pairwise(attempts(history)):
        if any(span.meets(attempt.asked_at, following.asked_at) for span in excused):
            failures = 0
            continue
        if attempt.lasted_s >= law.stable_after_s - law.notice_s:
            failures = 0
        if attempt.was_handed_over:
            continue
        failures += 1
        waited_s = following.asked_at - attempt.ended_at
        least_s = law.shortest_s(failures)
        if waited_s < least_s - law.slack_s:
            text = f"attempt {waited_s:.2f} s after failure {failures} in a row, at least {least_s:.2f} s due"
            found.append(
                Violation(promise="backoff within its law", account=account, at=following.asked_at, text=text)
            )
    return found


def attempts(history: History) -> list[Attempt]:
    """Return the attempts in order, each with the connections that came of it."""
    asked = sorted(history.asked)
    links: list[list[Connection]] = [[] for _ in asked]
    for connection in history.connections:
        index = bisect_right(asked, connection.opened_at) - 1
        if index >= 0:
            links[index].append(connection)
    return [Attempt(at, found) for at, found in zip(asked, links, strict=True)]
