"""What is recorded of a campaign, and what is found in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """A promise that was not kept."""

    promise: str
    account: str
    """Empty where it concerns the supervisor."""
    at: float
    text: str


class Span(msgspec.Struct, frozen=True):
    """From one moment to another."""

    begin: float
    end: float

    def meets(self, begin: float, end: float) -> bool:
        """Return whether any of it lies in between."""
        return self.begin <= end and begin <= self.end


class Claim(msgspec.Struct, frozen=True, gc=False):
    """`status` said that an account is online."""

    account: str
    asked_at: float
    told_at: float
    """It was said at some moment between the two."""


class Parking(msgspec.Struct, frozen=True):
    """`status` said that an account is parked."""

    account: str
    since: float
    why: str


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Something was done to an account, or to all of them."""

    what: str
    span: Span
    accounts: frozenset[str] | None = None
    """`None` for all."""
    may_park: bool = False
    """Whether the platform may have said no for good."""
    wait_s: float = 0.0
    """How long the platform wants to be left alone."""

    def concerns(self, account: str) -> bool:
        """Return whether it was done to this account."""
        return self.accounts is None or account in self.accounts


class Look(msgspec.Struct, frozen=True):
    """The processes below the supervisor at one moment."""

    at: float
    pids: frozenset[int]
    named: frozenset[int] | None
    """Those that `status` named then; `None` where nobody answered."""


class Footprint(msgspec.Struct, frozen=True):
    """What the supervisor itself holds."""

    files: int
    threads: int
    children: int


def covered_s(spans: Iterable[Span], begin: float, end: float) -> float:
    """Return for how long of this time at least one of the spans lasts."""
    inside = sorted((max(span.begin, begin), min(span.end, end)) for span in spans if span.meets(begin, end))
    total, reached = 0.0, begin
    for first, last in inside:
        total += max(0.0, last - max(first, reached))
        reached = max(reached, last)
    return total


def spans_of(troubles: Sequence[Trouble], account: str, *, what: Sequence[str] = ()) -> list[Span]:
    """Return when these things were done to this account; without names, anything at all."""
    return [
        trouble.span
        for trouble in troubles
        if trouble.concerns(account) and (not what or trouble.what in what)
    ]
