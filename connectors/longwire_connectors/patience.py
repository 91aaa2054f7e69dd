"""How long a platform asks to be left alone, as HTTP headers say it. Pure."""

from __future__ import annotations

MAX_S = 3600.0
"""A longer wait is taken for this: an hour's silence must be the operator's decision."""


def asked_s(*headers: str | None) -> float | None:
    """Return the seconds that the first of these headers asks for which is a number of them.

    `Retry-After` may also be a date (RFC 9110, 10.2.3). It then counts as absent: this machine's clock may be
    wrong by more than the wait, and the backoff law has a wait of its own.
    """
    for header in headers:
        given = (header or "").strip()
        if given.isascii() and given.isdecimal():
            return min(float(given), MAX_S)
    return None
