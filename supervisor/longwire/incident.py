"""What is kept of a process that had to be killed, or ended unasked; and how many are kept: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from longwire.evidence import Findings
from longwire.liveness import Liveness
from longwire_protocol.frames import Phase


class Kind(StrEnum):
    """How a process came to its end."""

    KILLED = "killed"  # by us: it was silent, deaf or out of its mind
    EXITED = "exited"  # by itself, by the kernel (out of memory), or by somebody else


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a list shows of an incident."""

    id: str
    """Names it: the account and the incarnation, as a process comes to its end once."""
    account: str
    tenant: str
    incarnation: int
    pid: int
    at: float
    """Unix seconds."""
    kind: Kind
    reason: str
    """A constant name, as `heartbeat_timeout`, `child_exited`."""
    message: str
    exit_code: int | None = None
    """Of one that ended unasked, negative for a signal; `None` if unknown."""


class Incident(Summary, frozen=True, kw_only=True):
    """All that was there to be kept of it, without secrets."""

    phase: Phase
    """What it was doing, by its last heartbeat."""
    phase_since: float
    """Unix seconds."""
    liveness: Liveness
    """At that moment."""
    findings: Findings = Findings()
    log: list[str] = []
    """The last lines that it printed."""


class LastIncident(msgspec.Struct, frozen=True, kw_only=True):
    """What `status` says of an account's newest one."""

    id: str
    at: float
    """Unix seconds."""
    kind: Kind
    reason: str


PER_ACCOUNT = 10
"""Incidents kept of one account: a crash loop fills its own shelf, and nobody else's."""

IN_ALL = 500
"""Incidents kept of all: some 5 MB, 30 at the very most."""


def summary_of(incident: Incident) -> Summary:
    """Return what a list shows of it."""
    return msgspec.convert(msgspec.to_builtins(incident), Summary)


def surplus(
    kept: Iterable[Summary], *, per_account: int = PER_ACCOUNT, in_all: int = IN_ALL
) -> list[Summary]:
    """Return those that must go: an account's oldest; where all together are too many, of who has most.

    Args:
        kept: all of them.
        per_account: how many may stay of one account.
        in_all: how many may stay.
    """
    shelves: dict[str, list[Summary]] = {}
    for summary in sorted(kept, key=lambda each: each.at):
        shelves.setdefault(summary.account, []).append(summary)
    gone = [each for shelf in shelves.values() for each in shelf[: max(0, len(shelf) - per_account)]]
    left = {name: shelf[-per_account:] for name, shelf in shelves.items()}
    counts = Counter({name: len(shelf) for name, shelf in left.items()})
    for _ in range(counts.total() - in_all):
        name = max(counts, key=lambda each: (counts[each], -left[each][0].at))
        gone.append(left[name].pop(0))
        counts[name] -= 1
    return gone


def newest(kept: Sequence[Summary], *, account: str | None, tenant: str | None, limit: int) -> list[Summary]:
    """Return the newest of an account or a tenant, or of all, the newest first."""
    found = [each for each in kept if account in {None, each.account} and tenant in {None, each.tenant}]
    return sorted(found, key=lambda each: each.at, reverse=True)[:limit]
