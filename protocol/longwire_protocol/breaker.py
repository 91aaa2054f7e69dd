"""Whether a host may be asked now: it is left alone for a while after failing several times in a row. Pure.

::

              5th failure in a row         30 s are over, and a call is asked for
    CLOSED ─────────────────────────> OPEN ─────────────────────────────────────> PROBING
       ^                               ^  <──── the probe failed, or was given up ────┘ │
       └───────────────────────────────┼─────────────── the probe was answered ─────────┘

While PROBING one call is under way and every other one is refused. A call that was let through before the
last change of state has no say any more: what it tells is older than what is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

import msgspec

FAILURES = 5
"""In a row, until the host is left alone."""
REST_S = 30.0
"""How long it is left alone before one call may try."""
PROBE_WAIT_S = 1.0
"""What is told to a caller who comes while the probe is under way: its outcome is near."""


class State(Enum):
    """See the module's picture."""

    CLOSED = auto()
    OPEN = auto()
    PROBING = auto()


class Event(Enum):
    """What moves a breaker."""

    ANSWERED = auto()  # whatever the answer says: a refusal is one, too
    FAILED = auto()  # no answer, or one that says that the host cannot answer
    FAILED_TOO_OFTEN = auto()  # likewise, for the last time in a row that is borne
    GIVEN_UP = auto()  # nothing is known: cancelled, or it never came to be asked
    ASKED = auto()  # may I, after the rest?


NEXT: Mapping[tuple[State, Event], State] = {
    (State.CLOSED, Event.FAILED_TOO_OFTEN): State.OPEN,
    (State.OPEN, Event.ASKED): State.PROBING,
    (State.PROBING, Event.ANSWERED): State.CLOSED,
    (State.PROBING, Event.FAILED): State.OPEN,
    (State.PROBING, Event.GIVEN_UP): State.OPEN,
}
"""Each change of state there is; every other pair leaves it as it is."""


class Breaker(msgspec.Struct, frozen=True):
    """One host's. Times are seconds of a clock that never goes back."""

    state: State = State.CLOSED
    failures: int = 0
    """In a row, while closed."""
    rests_until: float = 0.0
    """While open."""
    term: int = 0
    """How many changes of state there were."""


def ask(breaker: Breaker, *, now: float) -> tuple[Breaker, float]:
    """Return the breaker after a caller asked to be let through, and for how many seconds it must wait.

    Who need not wait (0) goes now, and calls `report` exactly once with the `term` of the returned breaker.
    """
    if breaker.state is State.CLOSED:
        return breaker, 0.0
    if breaker.state is State.PROBING:
        return breaker, PROBE_WAIT_S
    if now < breaker.rests_until:
        return breaker, breaker.rests_until - now
    return _moved(breaker, Event.ASKED, now=now, rest_s=0.0), 0.0


def report(breaker: Breaker, event: Event, *, term: int, now: float, rest_s: float | None = None) -> Breaker:
    """Return the breaker after a call that was let through in `term` has ended.

    Args:
        breaker: as it is now.
        event: ANSWERED, FAILED or GIVEN_UP.
        term: as of the breaker that `ask` returned.
        now: seconds.
        rest_s: how long the host is left alone, if that is what follows; `REST_S` where `None`.
    """
    if term != breaker.term:
        return breaker
    if event is Event.FAILED and breaker.state is State.CLOSED:
        if breaker.failures + 1 < FAILURES:
            return msgspec.structs.replace(breaker, failures=breaker.failures + 1)
        event = Event.FAILED_TOO_OFTEN
    if event is Event.ANSWERED and breaker.failures:
        return Breaker(term=breaker.term)
    return _moved(breaker, event, now=now, rest_s=REST_S if rest_s is None else rest_s)


def _moved(breaker: Breaker, event: Event, *, now: float, rest_s: float) -> Breaker:
    state = NEXT.get((breaker.state, event), breaker.state)
    if state is breaker.state:
        return breaker
    until = now if event is Event.GIVEN_UP else now + rest_s
    return Breaker(state, rests_until=until, term=breaker.term + 1)
