"""Outages at the edge: hears of each account's link, sets the pace at the connect gates, tells the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec
import structlog

from longwire.outage import Outage
from longwire.status import OutageStatus
from longwire_protocol.link import Fault, LinkFailure

_log = structlog.get_logger("longwire.outages")


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
        if failure.fault is not Fault.PERMANENT or member.was_online:
            before, wanted = outage.since, self._wanted(member.connector)
            outage.failed(member.name, failure.reason, now=self._loop.time(), wanted=wanted)
            self._changed(member.connector, outage, before=before)
        return outage.is_on

    def proven(self, member: Member) -> None:
        """Hear that a link is up."""
        outage = self._outage(member.connector)
        before = outage.since
        outage.proven(member.name)
        self._changed(member.connector, outage, before=before)

    def left(self, member: Member) -> None:
        """Hear that an account is not to run any more."""
        outage = self._outage(member.connector)
        before = outage.since
        outage.left(member.name)
        self._changed(member.connector, outage, before=before)

    def of(self, connector: str) -> Outage | None:
        """Return the connector's present outage."""
        outage = self._of.get(connector)
        return outage if outage is not None and outage.is_on else None

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

    def _wanted(self, connector: str) -> set[str]:
        return {m.name for m in self._members() if m.connector == connector and m.is_wanted}

    def _changed(self, connector: str, outage: Outage, *, before: float | None) -> None:
        """Carry out what became of it; `before` is since when there was one."""
        was_on = before is not None
        if outage.is_on or was_on:
            burst = 1 if outage.is_on else self._usual.burst
            self._set_pace(connector, Pace(outage.pace_per_s, burst))
        if outage.is_on and not was_on:
            _log.warning(
                "outage_begins", connector=connector, accounts=len(outage.accounts), reason=outage.reason
            )
            self._pardon(connector, set(outage.accounts))
        elif before is not None and not outage.is_on:
            _log.warning("outage_ends", connector=connector, lasted_s=round(self._loop.time() - before, 1))

    def _pardon(self, connector: str, names: set[str]) -> None:
        for member in list(self._members()):
            if member.connector == connector and member.name in names:
                member.pardon()


def _is_of_platform(failure: LinkFailure) -> bool:
    """Return whether the platform or the network failed; a refusal of the platform carries its code."""
    if failure.fault is Fault.PERMANENT:
        return failure.error_code is not None
    return failure.fault in {Fault.TRANSIENT, Fault.LIMITED}
