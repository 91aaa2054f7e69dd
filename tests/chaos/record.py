"""All that is recorded of a campaign."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager

import msgspec

from chaos.judges.facts import Claim, Footprint, Look, Parking, Span, Trouble, Violation
from longwire_connectors.simulator.diary import Entry


class Record(msgspec.Struct):
    """Facts, in the order in which they came."""

    entries: list[Entry] = []
    """The platform's diary."""
    claims: dict[str, list[Claim]] = {}
    """When which account was said to be online."""
    parkings: set[Parking] = set()
    looks: list[Look] = []
    troubles: list[Trouble] = []
    lag: list[Span] = []
    """When the recorder itself came late."""
    silent: list[Span] = []
    """When `status` was not answered."""
    footprints: list[Footprint] = []
    """Of the supervisor, in quiet moments with all accounts online."""
    returns: dict[str, float | None] = {}
    """When each account was online after calm."""
    calm_at: float = 0.0
    found: list[Violation] = []
    """What was seen at once, on the way."""

    @contextmanager
    def during(
        self, what: str, *accounts: str, may_park: bool = False, wait_s: float = 0.0
    ) -> Generator[None]:
        """Note that something is being done to these accounts, or to all."""
        begin = time.time()
        try:
            yield
        finally:
            self.note(what, *accounts, span=Span(begin, time.time()), may_park=may_park, wait_s=wait_s)

    def note(
        self, what: str, *accounts: str, span: Span, may_park: bool = False, wait_s: float = 0.0
    ) -> None:
        """Note that something was done to these accounts, or to all."""
        whose = frozenset(accounts) if accounts else None
        self.troubles.append(Trouble(what=what, span=span, accounts=whose, may_park=may_park, wait_s=wait_s))

    def claim(self, accounts: Iterable[str], *, asked_at: float, told_at: float) -> None:
        """Note that `status` said these are online."""
        for account in accounts:
            self.claims.setdefault(account, []).append(Claim(account, asked_at, told_at))
