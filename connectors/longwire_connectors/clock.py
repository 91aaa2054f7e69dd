"""How far our clock is from a platform's, by the `Date` header of an answer. Pure."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

_HALF_S = 0.5
"""The header names whole seconds, so it is half a second behind on average."""


def ahead_s(date: str | None, *, asked_at: float, answered_at: float) -> float | None:
    """Return by how many seconds our clock is ahead, to about one; `None` if the answer does not tell.

    Args:
        date: the header, as RFC 9110 has it.
        asked_at: Unix seconds of our clock before the call.
        answered_at: after it.
    """
    try:
        theirs = parsedate_to_datetime(date or "").timestamp()
    except (ValueError, OverflowError):
        return None
    return (asked_at + answered_at) / 2 - theirs - _HALF_S
