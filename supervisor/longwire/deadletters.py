"""Dead letters on disk: events that a subscription gave up, with a copy of each.

A letter is written in the commit that says that its event is done, and is deleted in the one that says that
the event was done after all. Resubmitting only marks it, so nothing is lost between the two.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec
import structlog

from longwire.delivery import Cause, DeadEvent, WindowLimits
from longwire.journal import Stored
from longwire_protocol.codec import with_delivery

_log = structlog.get_logger("longwire.deliveries")

LETTER_PREFIX = "deadletter/"

MAX_LETTERS = 1_000
"""Per subscription; over it the oldest goes. So many want a look at the subscriber, not at each event."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One event that a subscription gave up. Times are Unix seconds."""

    subscription: str
    seq: int
    reason: Literal["max_attempts", "chat_blocked"]
    """Which limit ended it."""
    cause: Cause
    """Of its last failure."""
    attempts: int
    """Deliveries, failed or not."""
    failures: int
    first_failed_at: float
    last_failed_at: float
    resubmitted_at: float | None = None
    """Set while it is on its way again."""
    event: Stored

    @property
    def key(self) -> str:
        """Where it is kept; sorts by subscription and number."""
        return letter_key(self.subscription, self.seq)

    def described(self) -> dict[str, Any]:
        """Return what clients see of it: its fields, and the event as the last delivery showed it."""
        shown = {name: getattr(self, name) for name in self.__struct_fields__}
        body = with_delivery(self.event.body, self.seq, attempt=self.attempts)
        return {**shown, "event": msgspec.Raw(body)}


class Letters:
    """Which dead letters a subscription has; their contents stay on disk."""

    def __init__(self, subscription: str, found: Iterable[DeadLetter] = ()) -> None:
        self._subscription = subscription
        letters = sorted(found, key=lambda letter: letter.last_failed_at)
        self._known = {letter.seq: letter.resubmitted_at is not None for letter in letters}
        """By number, the oldest first: whether it is on its way again."""
        self._tenants = {letter.seq: letter.event.tenant for letter in letters}
        """By number: whose event it is."""
        self.dropped = 0
        """How many were given up for newer ones, in this supervisor's time."""

    def __len__(self) -> int:
        """How many there are, without those on their way again."""
        return len(self._known) - sum(self._known.values())

    def bury(self, dead: DeadEvent, limits: WindowLimits) -> dict[str, DeadLetter | None]:
        """Return the states that make the event a dead letter."""
        letter = _letter(self._subscription, dead, limits)
        dropped = self._make_room()
        self._known[letter.seq] = False
        self._tenants[letter.seq] = letter.event.tenant
        _log.warning(
            "dead_letter",
            subscription=self._subscription,
            seq=letter.seq,
            account=dead.event.account,
            reason=letter.reason,
            cause=letter.cause.value,
            failures=letter.failures,
        )
        return {**dropped, letter.key: letter}

    def resubmit(self, letter: DeadLetter) -> dict[str, DeadLetter | None]:
        """Return the states that put the letter on its way again; nothing if it is, or is gone."""
        if self._known.get(letter.seq, True):
            return {}
        self._known[letter.seq] = True
        return {letter.key: msgspec.structs.replace(letter, resubmitted_at=time.time())}

    def remove(self, seqs: Iterable[int]) -> dict[str, DeadLetter | None]:
        """Return the states that delete these letters."""
        gone = [seq for seq in seqs if self._known.pop(seq, None) is not None]
        for seq in gone:
            del self._tenants[seq]
        return {letter_key(self._subscription, seq): None for seq in gone}

    def seqs(self, tenant: str | None = None) -> list[int]:
        """Return the numbers of all letters, or of this tenant's; those on their way again too."""
        return [seq for seq in self._known if tenant in {None, self._tenants[seq]}]

    def _make_room(self) -> Mapping[str, DeadLetter | None]:
        if len(self._known) < MAX_LETTERS:
            return {}
        oldest = min(self._known, key=lambda known: self._known[known])  # the first that is not on its way
        self.dropped += 1
        _log.warning("dead_letter_dropped", subscription=self._subscription, seq=oldest, kept=MAX_LETTERS)
        return self.remove([oldest])


def letter_key(subscription: str, seq: int) -> str:
    """Return where a letter is kept; a subscription's name may hold anything but white space."""
    return f"{LETTER_PREFIX}{subscription} {seq:020}"


def _letter(subscription: str, dead: DeadEvent, limits: WindowLimits) -> DeadLetter:
    failing = dead.failing
    return DeadLetter(
        subscription=subscription,
        seq=dead.event.seq,
        reason="max_attempts" if failing.failures >= limits.max_attempts else "chat_blocked",
        cause=dead.cause,
        attempts=failing.attempt,
        failures=failing.failures,
        first_failed_at=failing.first_at,
        last_failed_at=failing.last_at,
        event=dead.event,
    )
