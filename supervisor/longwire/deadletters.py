"""Dead letters on disk: events that a subscription gave up, with a copy of each.

A letter is written in the commit that says that its event is done, and is deleted in the one that says that
the event was done after all. Resubmitting only marks it, so nothing is lost between the two.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from longwire.delivery import Cause, DeadEvent, WindowLimits
from longwire.journal import EventStore, Stored
from longwire.logger import get_logger
from longwire_protocol.codec import with_delivery

_log = get_logger("longwire.deliveries")

LETTER_PREFIX = "deadletter/"

MAX_LETTERS = 1_000
"""Per subscription; over it the oldest goes. So many want a look at the subscriber, not at each event."""


MAX_LETTER_BYTES = 64 * 1024 * 1024
"""The same in bytes of their events, which retention cannot remove: 1,000 of the largest would be 12 GiB."""


_READ_BYTES = 1024 * 1024
"""Of one piece of reading, and one letter more: decoded on the event loop, read within one deadline."""


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

    def __init__(self, subscription: str) -> None:
        self._subscription = subscription
        self._known: dict[int, _Known] = {}
        """By number."""
        self.dropped = 0
        """How many were given up for newer ones, in this supervisor's time."""

    def __len__(self) -> int:
        """How many there are, without those on their way again."""
        return sum(not known.is_under_way for known in self._known.values())

    def found(self, letter: DeadLetter) -> None:
        """Take a letter in that is on disk."""
        self._known[letter.seq] = _known(letter)

    def bury(self, dead: DeadEvent, limits: WindowLimits) -> dict[str, DeadLetter | None]:
        """Return the states that make the event a dead letter."""
        letter = _letter(self._subscription, dead, limits)
        self._known.pop(letter.seq, None)
        dropped = self._make_room(len(letter.event.body))
        self._known[letter.seq] = _known(letter)
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
        known = self._known.get(letter.seq)
        if known is None or known.is_under_way:
            return {}
        marked = msgspec.structs.replace(letter, resubmitted_at=time.time())
        self._known[letter.seq] = _known(marked)
        return {letter.key: marked}

    def remove(self, seqs: Iterable[int]) -> dict[str, DeadLetter | None]:
        """Return the states that delete these letters."""
        gone = [seq for seq in seqs if self._known.pop(seq, None) is not None]
        return {letter_key(self._subscription, seq): None for seq in gone}

    def seqs(self, tenant: str | None = None) -> list[int]:
        """Return the numbers of all letters, or of this tenant's; those on their way again too."""
        return [seq for seq in self._known if tenant in {None, self._known[seq].tenant}]

    def _make_room(self, size_bytes: int) -> Mapping[str, DeadLetter | None]:
        """Return the states that delete the oldest letters until one of this size fits in."""
        known = self._known
        total = sum(letter.size_bytes for letter in known.values()) + size_bytes
        gone: dict[str, DeadLetter | None] = {}
        while known and (len(known) >= MAX_LETTERS or total > MAX_LETTER_BYTES):
            oldest = min(known, key=known.__getitem__)
            total -= known.pop(oldest).size_bytes
            gone[letter_key(self._subscription, oldest)] = None
            _log.warning("dead_letter_dropped", subscription=self._subscription, seq=oldest, kept=len(known))
        self.dropped += len(gone)
        return gone


class _Known(NamedTuple):
    """What is in memory of a letter; sorts by which has to go first."""

    is_under_way: bool
    """Whether it is being delivered again."""
    last_failed_at: float
    size_bytes: int
    """Of its event."""
    tenant: str
    """Whose event it is."""


def _known(letter: DeadLetter) -> _Known:
    event = letter.event
    return _Known(letter.resubmitted_at is not None, letter.last_failed_at, len(event.body), event.tenant)


async def read_letters(journal: EventStore, subscription: str | None, *, after: str) -> list[DeadLetter]:
    """Return the next letters behind a key, of one subscription or all: some MiB of them, none at the end.

    Raises:
        JournalError: the journal cannot be read.
    """
    prefix = LETTER_PREFIX if subscription is None else f"{LETTER_PREFIX}{subscription} "
    found = await journal.get_states(prefix, DeadLetter, after=after, max_bytes=_READ_BYTES)
    return [*found.values()]


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
