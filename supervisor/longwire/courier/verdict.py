"""What an answer, or the lack of one, means for the event, the target and its breaker. Pure.

====================================  =========  ========================================================
answer                                verdict    then
====================================  =========  ========================================================
2xx                                   DELIVERED  the event is acked
410                                   DISABLED   nothing is posted until somebody enables the target again
429, 503 with a readable Retry-After  RESTS      the target is left alone for so long, the event not blamed
any other status                      RETRY      the event has failed, and comes again by its subscription
`Failed`                              RETRY      likewise
`Refused`                             REFUSED    nothing is posted until the target or its address is changed
`Busy`                                BUSY       nobody is blamed; come again when it says
====================================  =========  ========================================================

Redirects that are not followed are among the others: who moved for good is found by the dead letters, and who
moved for a minute has lost nothing. Every 4xx is retried, too: most are a gateway's, or a deployment's.
"""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Final

import msgspec

from longwire.courier.errors import Busy, Failed, PostError
from longwire.courier.http import Answer
from longwire_protocol.breaker import Event

REST_S: Final = (1.0, 3600.0)
"""Least and most of what a Retry-After is taken for. Less would be a busy loop; an hour's silence is what a
target may ask for, more is the operator's decision."""


class Kind(Enum):
    """See the module's table."""

    DELIVERED = auto()  # the event is done
    RETRY = auto()  # the event has failed; when it comes again is its subscription's decision
    RESTS = auto()  # the whole target is left alone for `wait_s`; the event has not failed
    DISABLED = auto()  # the target said that it is gone
    REFUSED = auto()  # our policy forbids the target
    BUSY = auto()  # nothing was posted for want of something of ours; again after `wait_s`, not counted


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What to do."""

    kind: Kind
    outcome: Event
    """For the target's breaker."""
    wait_s: float = 0.0
    reason: str = ""
    """For status and logs; empty where it was delivered."""


DELIVERED: Final = Verdict(Kind.DELIVERED, Event.ANSWERED)


def of(outcome: Answer | PostError, *, now: float) -> Verdict:
    """Return what a post means that got this answer, or none; `now` in Unix seconds."""
    return of_answer(outcome, now=now) if isinstance(outcome, Answer) else of_error(outcome)


def of_answer(answer: Answer, *, now: float) -> Verdict:
    """Return what an answer means, of any status; `now` in Unix seconds."""
    status = answer.status
    if 200 <= status < 300:  # noqa: PLR2004  what HTTP calls successful
        return DELIVERED
    reason = f"answered {status}"
    if status == 410:  # noqa: PLR2004  Gone
        return Verdict(Kind.DISABLED, Event.ANSWERED, reason=reason)
    if status in {429, 503}:
        rest_s = rest_asked_s(answer.headers.get("retry-after"), now=now)
        if rest_s is not None:
            return Verdict(Kind.RESTS, Event.GIVEN_UP, rest_s, reason)
    return Verdict(Kind.RETRY, Event.FAILED, reason=reason)


def of_error(error: PostError) -> Verdict:
    """Return what the lack of an answer means."""
    if isinstance(error, Busy):
        return Verdict(Kind.BUSY, Event.GIVEN_UP, error.retry_after_s, str(error))
    if isinstance(error, Failed):
        return Verdict(Kind.RETRY, Event.FAILED, reason=str(error))
    return Verdict(Kind.REFUSED, Event.GIVEN_UP, reason=str(error))


def rest_asked_s(header: str | None, *, now: float) -> float | None:
    """Return the seconds that a Retry-After asks for, within `REST_S`; `None` where it says nothing readable.

    Args:
        header: seconds, or a date of HTTP (RFC 9110, 10.2.3).
        now: Unix seconds: what a date is compared with.
    """
    given = (header or "").strip()
    if given.isascii() and given.isdecimal():
        asked_s = float(given)
    else:
        try:
            date = parsedate_to_datetime(given)
        except (ValueError, OverflowError):
            return None
        asked_s = date.replace(tzinfo=UTC).timestamp() - now  # HTTP knows no other zone
    least, most = REST_S
    return max(least, min(asked_s, most))
