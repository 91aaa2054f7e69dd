"""`deadletter.list`, `resubmit` and `purge`: what operators do with events that subscriptions gave up.

Where a `tenant` is given, letters whose event is not this tenant's do not exist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from longwire.deadletters import DeadLetter, letter_key, read_letters
from longwire.journal import EventStore, JournalError
from longwire.subscriptions import Subscription
from longwire.wishes import parameters
from longwire_protocol.errors import CommandError, RetCode

_PAGE_BYTES = 1024 * 1024
"""Events of one page of the list: a frame may hold sixteen times as much, so a large one fits beside them."""


class Which(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `deadletter.resubmit` and `deadletter.purge` take; `all` or a subscription must be given."""

    subscription: str | None = None
    seqs: list[int] | None = None
    all: bool = False


class Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `deadletter.list` takes."""

    subscription: str | None = None
    seqs: list[int] | None = None
    after: str = ""
    """`next` of the page before."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class DeadLetterOffice:
    """Carries out the methods; `subscriptions` are all durable ones by name."""

    def __init__(self, journal: EventStore, subscriptions: Mapping[str, Subscription]) -> None:
        self._journal = journal
        self._subscriptions = subscriptions

    async def list(self, params: dict[str, Any], *, tenant: str | None = None) -> dict[str, Any]:
        """Return a page of dead letters, ordered by subscription and number, and where the next begins."""
        asked = parameters(params, Listed)
        shown: list[dict[str, Any]] = []
        size = 0
        after = asked.after
        while letters := await self._read(asked.subscription, after=after):
            for letter in letters:
                if not _is_meant(letter, asked, tenant):
                    continue
                if len(shown) == asked.limit or size >= _PAGE_BYTES:
                    last = shown[-1]
                    return {"deadletters": shown, "next": letter_key(last["subscription"], last["seq"])}
                shown.append(letter.described())
                size += len(letter.event.body)
            after = letters[-1].key
        return {"deadletters": shown, "next": None}

    async def resubmit(self, params: dict[str, Any], *, tenant: str | None = None) -> dict[str, Any]:
        """Have dead letters delivered again, some MiB after the other; on disk when this returns."""
        which = _which(params)
        after, count = "", 0
        while letters := await self._read(which.subscription, after=after):
            marked: dict[str, DeadLetter | None] = {}
            for letter in letters:
                subscription = self._subscriptions.get(letter.subscription)
                if subscription is not None and _is_meant(letter, which, tenant):
                    marked |= subscription.resubmit(letter)
            await self._save(marked)
            after, count = letters[-1].key, count + len(marked)
        return {"resubmitted": count}

    async def purge(self, params: dict[str, Any], *, tenant: str | None = None) -> dict[str, Any]:
        """Delete dead letters, those on their way again too; on disk when this returns."""
        which = _which(params)
        removed: dict[str, DeadLetter | None] = {}
        for subscription in self._subscriptions.values():
            if which.subscription in {None, subscription.name}:
                seqs = subscription.letters.seqs(tenant)
                chosen = seqs if which.seqs is None else [seq for seq in seqs if seq in which.seqs]
                removed |= subscription.letters.remove(chosen)
                for seq in chosen:
                    subscription.window.discard(seq)
                subscription.pump()
        await self._save(removed)
        return {"purged": len(removed)}

    async def _read(self, subscription: str | None, *, after: str) -> Sequence[DeadLetter]:
        try:
            return await read_letters(self._journal, subscription, after=after)
        except JournalError as exc:
            raise _unavailable(exc) from exc

    async def _save(self, states: Mapping[str, DeadLetter | None]) -> None:
        if not states:
            return
        try:
            await self._journal.save_states(states)
        except JournalError as exc:
            raise _unavailable(exc) from exc


def _which(params: dict[str, Any]) -> Which:
    which = parameters(params, Which)
    if (which.subscription is None) != which.all:
        raise CommandError(RetCode.BAD_PARAM, "subscription: a name is needed, or all: true in its place")
    return which


def _is_meant(letter: DeadLetter, which: Which | Listed, tenant: str | None) -> bool:
    return (
        which.subscription in {None, letter.subscription}
        and (which.seqs is None or letter.seq in which.seqs)
        and tenant in {None, letter.event.tenant}
    )


def _unavailable(exc: JournalError) -> CommandError:
    return CommandError(RetCode.JOURNAL_UNAVAILABLE, str(exc), retryable=True)
