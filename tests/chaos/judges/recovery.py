"""After calm returns, every account does; and nobody is parked but by a clear refusal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from chaos.judges.facts import Parking, Trouble, Violation

ATTEMPT_S = 25.0
"""An attempt takes at most 13 s for discovery and 10 s for the WebSocket: so old may the refusal be."""


def late_returns(
    back_at: Mapping[str, float | None], *, calm_at: float, allowed_s: float, troubles: Sequence[Trouble]
) -> list[Violation]:
    """Return the accounts that were not online in time after the last trouble.

    Args:
        back_at: when each was online again; `None` for never.
        calm_at: when the last trouble was over.
        allowed_s: one backoff cap, and what an attempt takes.
        troubles: a platform that wanted to be left alone adds its own wait.
    """
    found: list[Violation] = []
    for account, at in back_at.items():
        until = max(
            (t.span.end + t.wait_s for t in troubles if t.wait_s and t.concerns(account)), default=0.0
        )
        due_at = max(calm_at, until) + allowed_s
        if at is None or at > due_at:
            text = "never" if at is None else f"{at - calm_at:.1f} s after calm returned"
            text = f"online again {text}, at most {due_at - calm_at:.1f} s are due"
            found.append(Violation(promise="back after calm", account=account, at=due_at, text=text))
    return found


def parked_unjustly(parkings: Iterable[Parking], *, troubles: Sequence[Trouble]) -> list[Violation]:
    """Return the accounts that were parked while nothing had refused them for good."""
    return [
        Violation(
            promise="parked only by a clear refusal",
            account=parking.account,
            at=parking.since,
            text=parking.why,
        )
        for parking in parkings
        if not any(
            trouble.may_park
            and trouble.concerns(parking.account)
            and trouble.span.meets(parking.since - ATTEMPT_S, parking.since)
            for trouble in troubles
        )
    ]
