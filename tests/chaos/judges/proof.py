"""Never online without proof: what status claimed, held against what the platform sent."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain
from math import inf

import msgspec

from chaos.judges.facts import Claim, Span, Violation, covered_s
from chaos.judges.history import Connection, History

MISSED_PINGS = 3
SLOWEST_PING_S = 600.0
"""interfaces.md: a Lark pong within three ping intervals, each clamped to 1 to 600 s."""

UNTOLD_PING_S = 120.0
"""The SDK's own interval, while the platform has told none."""

LAST_TOLD = 2
"""Intervals that may be in force: the last may be on its way still."""

LOOKS = 1.1
"""A watch looks 20 times per limit, and each look may let the age grow by two steps."""


class Windows(msgspec.Struct, frozen=True, kw_only=True):
    """How old proof may be."""

    link_timeout_s: float
    """Set in the configuration, so it is the window of Lark's pongs too, where an interval is shorter."""
    heartbeat_timeout_s: float
    """For so long the supervisor may believe a child that stands still."""
    margin_s: float
    """What a noisy machine may add."""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What of a claim's surroundings counts in its favour."""

    stalls: Sequence[Span] = ()
    """When the account's child, or the supervisor, was stopped: age is running time."""
    lag: Sequence[Span] = ()
    """When the recorder itself came late, as the machine was busy."""

    def extra_s(self, claim: Claim, *, window_s: float, windows: Windows) -> float:
        """Return how much older proof may be."""
        begin = claim.asked_at - window_s - windows.heartbeat_timeout_s
        stalled_s = covered_s(self.stalls, begin, claim.told_at)
        late_s = covered_s(self.lag, begin, claim.told_at)
        return min(stalled_s, windows.heartbeat_timeout_s) + late_s


def unproven(
    claims: Iterable[Claim], history: History, windows: Windows, sight: Sight, *, is_lark: bool
) -> list[Violation]:
    """Return the claims of one account for which there was no proof; a run of them counts as one."""
    proofs = _Proofs(history, windows)
    found: list[Violation] = []
    was_wrong = False
    for claim in claims:
        wrong = _complaint(claim, proofs, sight, is_lark=is_lark)
        if wrong is not None and not was_wrong:
            found.append(
                Violation(
                    promise="never online without proof",
                    account=claim.account,
                    at=claim.asked_at,
                    text=wrong,
                )
            )
        was_wrong = wrong is not None
    return found


def _complaint(claim: Claim, proofs: _Proofs, sight: Sight, *, is_lark: bool) -> str | None:
    """Return what is wrong with a claim."""
    windows = proofs.windows

    def is_too_old(age_s: float, window_s: float) -> bool:
        extra_s = sight.extra_s(claim, window_s=window_s, windows=windows)
        return age_s > window_s * LOOKS + windows.margin_s + extra_s

    lost_s = proofs.disconnected_s(claim)
    if is_too_old(lost_s, 0.0):
        return f"online, and no connection was open for {lost_s:.2f} s"
    age_s = proofs.socket_age_s(claim)
    if is_too_old(age_s, windows.link_timeout_s):
        return f"online, and the platform had sent nothing for {age_s:.2f} s"
    age_s, window_s = proofs.platform_age_s(claim), proofs.platform_window_s(claim)
    if is_lark and is_too_old(age_s, window_s):
        return f"online, and Lark had sent no pong for {age_s:.2f} s, of {window_s:.1f} s allowed"
    return None


class _Proofs:
    """What a platform sent to one app, arranged so that each claim is judged by bisection."""

    def __init__(self, history: History, windows: Windows) -> None:
        self.windows = windows
        self._links = sorted(history.connections, key=lambda link: link.opened_at)
        self._opened = [link.opened_at for link in self._links]
        self._closed = list(accumulate((link.closed_at for link in self._links), max))
        self._sent = sorted(chain.from_iterable(link.sent for link in self._links))
        # Lark's own answers: its pongs, and the first event of a connection, which proves it.
        pongs = [pong.at for link in self._links for pong in link.pongs]
        self._answers = sorted(pongs + [link.frames[0] for link in self._links if link.frames])

    def disconnected_s(self, claim: Claim) -> float:
        """Return for how long no connection had been open when it was claimed; 0 if one was."""
        index = bisect_right(self._opened, claim.told_at)
        return max(0.0, claim.asked_at - self._closed[index - 1]) if index else inf

    def socket_age_s(self, claim: Claim) -> float:
        """Return how long ago the platform had sent anything."""
        return claim.asked_at - _last(self._sent, claim.told_at)

    def platform_age_s(self, claim: Claim) -> float:
        """Return how long ago Lark had answered."""
        return claim.asked_at - _last(self._answers, claim.told_at)

    def platform_window_s(self, claim: Claim) -> float:
        """Return the longest window that what Lark last told allows; the very last may not have arrived."""
        index = bisect_right(self._opened, claim.told_at)
        told = [value for link in self._links[max(0, index - 2) : index] for value in _told(link, claim)]
        return max((self._window_s(min(max(value, 1.0), SLOWEST_PING_S)) for value in told), default=0.0)

    def _window_s(self, interval_s: float) -> float:
        link_timeout_s = self.windows.link_timeout_s
        return link_timeout_s if link_timeout_s > interval_s else MISSED_PINGS * interval_s


def _told(link: Connection, claim: Claim) -> list[float]:
    """Return the last two intervals that were told on a connection by then."""
    index = bisect_right(link.pongs, claim.told_at, key=lambda pong: pong.at)
    values = [link.interval_s]
    while index > 0 and len(values) <= LAST_TOLD:
        index -= 1
        if link.pongs[index].interval_s is not None:
            values.append(link.pongs[index].interval_s)
    known = [value for value in values if value is not None]
    return known[-LAST_TOLD:] or [UNTOLD_PING_S]


def _last(moments: Sequence[float], at: float) -> float:
    """Return the last of these ascending moments that is not after another."""
    index = bisect_right(moments, at)
    return moments[index - 1] if index else -inf
