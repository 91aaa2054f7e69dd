"""Outages at the edge: hears of each account's link, sets the pace at the connect gates, tells the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Protocol

import msgspec

from longwire.logger import get_logger
from longwire.outage import Outage
from longwire.status import OutageStatus
from longwire_protocol.link import Fault, LinkFailure

_log = get_logger("longwire.outages")


class Member(Protocol):
    """An account, as far as an outage concerns it."""

    @property
    def name(self) -> str:
        """The account's name."""
        ...

    @property
    def connector(self) -> str:
        """Which connector drives it."""
        ...

    @property
    def is_wanted(self) -> bool:
        """Whether it is to run, and waits for no operator."""
        ...

    @property
    def is_up(self) -> bool:
        """Whether its link is proven."""
        ...

    @property
    def was_online(self) -> bool:
        """Whether its link was ever proven with the configuration it has."""
        ...

    def pardon(self) -> None:
        """Try again, if it was refused for good."""
        ...


class Pace(msgspec.Struct, frozen=True):
    """How fast links may be made, and how many at once before that."""

    rate_per_s: float
    burst: int


class Outages:
    """Finds them, one connector at a time.

    Args:
        members: returns every account.
        usual: the pace without an outage.
        set_pace: gives a connector's accounts another one.
    """

    def __init__(
        self, members: Callable[[], Iterable[Member]], *, usual: Pace, set_pace: Callable[[str, Pace], None]
    ) -> None:
        self._members = members
        self._usual = usual
        self._set_pace = set_pace
        self._loop = asyncio.get_running_loop()
        self._of: dict[str, Outage] = {}

    def failed(self, member: Member, failure: LinkFailure) -> bool:
        """Hear of a lost link or a failed attempt; return whether an outage excuses it."""
        if not _is_of_platform(failure):
            return False
        outage = self._outage(member.connector)
        with self._watched(member.connector, outage):
            return outage.failed(
                member.name,
                failure.reason,
                now=self._loop.time(),
                is_refused=failure.fault is Fault.PERMANENT,
                was_online=member.was_online,
            )

    def proven(self, member: Member) -> None:
        """Hear that a link is up."""
        outage = self._outage(member.connector)
        with self._watched(member.connector, outage):
            outage.proven(member.name)

    def seen(self, member: Member) -> None:
        """Hear that something else happened to an account."""
        outage = self._outage(member.connector)
        with self._watched(member.connector, outage):
            outage.seen(member.name, is_wanted=member.is_wanted, is_up=member.is_up)

    def left(self, member: Member) -> None:
        """Hear that an account is not to run any more."""
        outage = self._outage(member.connector)
        with self._watched(member.connector, outage):
            outage.left(member.name)

    def size(self, member: Member) -> int:
        """Return how many accounts are in the outage that this one is in; 0 if it is in none."""
        accounts = self._outage(member.connector).accounts
        return len(accounts) if member.name in accounts else 0

    def status(self) -> list[OutageStatus]:
        """Return those that there are."""
        return [
            OutageStatus(
                connector=connector,
                since=time.time() + outage.since - self._loop.time(),
                accounts=len(outage.accounts),
                reason=outage.reason,
            )
            for connector, outage in self._of.items()
            if outage.since is not None
        ]

    def _outage(self, connector: str) -> Outage:
        if connector not in self._of:
            self._of[connector] = Outage(usual_per_s=self._usual.rate_per_s)
        return self._of[connector]

    @contextmanager
    def _watched(self, connector: str, outage: Outage) -> Generator[None]:
        """Carry out what becomes of it inside."""
        before, pace_per_s = outage.since, outage.pace_per_s
        yield
        if outage.pace_per_s != pace_per_s:
            burst = 1 if outage.is_on else self._usual.burst
            self._set_pace(connector, Pace(outage.pace_per_s, burst))
        if outage.is_on and before is None:
            _log.warning(
                "outage_begins", connector=connector, accounts=len(outage.accounts), reason=outage.reason
            )
            self._pardon(connector, set(outage.accounts))
        elif before is not None and not outage.is_on:
            lasted_s, left = round(self._loop.time() - before, 1), outage.left_over
            _log.warning("outage_ends", connector=connector, lasted_s=lasted_s, still_failing=left)

    def _pardon(self, connector: str, names: set[str]) -> None:
        for member in list(self._members()):
            if member.connector == connector and member.name in names:
                member.pardon()


def _is_of_platform(failure: LinkFailure) -> bool:
    """Return whether the platform or the network failed; a refusal of the platform carries its code."""
    if failure.fault is Fault.PERMANENT:
        return failure.error_code is not None
    return failure.fault in {Fault.TRANSIENT, Fault.LIMITED}
