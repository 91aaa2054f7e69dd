"""The commands of one app that have not ended, and whose turn it is.

An app has one account, or several that the operator let share it: the platform's limits are all of theirs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol, cast

from longwire.alarm import Alarm
from longwire.config import AccountConfig
from longwire.inquiries import Done
from longwire.outbox.command import AppName, Command, Owner, owner_of
from longwire.outbox.entry import Entry
from longwire.sending import Item, Queue
from longwire_protocol.declaration import Rates

MOST = 2_000
"""Commands of an app that have not ended: two minutes of what Lark takes of an app."""

MOST_IN_FLIGHT = 32
"""Tries of an app at once; a child takes 64 of them, and has as many places for direct ones."""

RECENT_S = 60.0
"""How far back a start looks for what was sent: the longest window of a platform's limits."""


class Performer(Protocol):
    """Who carries commands out: an account."""

    @property
    def name(self) -> str:
        """The account's name."""
        ...

    @property
    def state(self) -> str:
        """The state it is in."""
        ...

    @property
    def config(self) -> AccountConfig:
        """What it is made of."""
        ...

    @property
    def takes_commands(self) -> bool:
        """Whether it is up, or will be without an operator."""
        ...

    @property
    def is_up(self) -> bool:
        """Whether its link is proven."""
        ...

    def begin(
        self, method: str, params: dict[str, Any], done: Done, *, deadline_s: float, key: str | None
    ) -> None:
        """Have the platform do something; `done` gets the answer, after this has returned.

        Raises:
            CommandError: it got no further than to us.
        """
        ...


class Lane:
    """Made on the loop. Times are the outbox's Unix seconds, which do not step."""

    def __init__(self, name: AppName, rates: Rates) -> None:
        self.name = name
        self.alarm = Alarm()
        """When to look at it again."""
        self.size_bytes = 0
        """Of what has not ended on disk; the outbox's to keep."""
        self._rates = rates
        self._queue = _queue(rates)
        self._entries: dict[int, Entry] = {}
        self._counted: list[tuple[str, float]] = []

    @property
    def has_nothing(self) -> bool:
        """Whether no command is here, waiting or under way."""
        return not self._entries

    @property
    def waiting(self) -> int:
        """How many are not under way."""
        return len(self._queue) - self._queue.in_flight

    @property
    def owners(self) -> Collection[Owner]:
        """Whose commands are here."""
        return cast("Collection[Owner]", self._queue.owners)

    def count_of(self, owner: Owner) -> tuple[int, int]:
        """Return how many of an account's commands wait, and how many are under way."""
        return self._queue.count_of(owner)

    def goes_at(self) -> float:
        """Return when the limits of the app let the next command go; `inf` while only an answer helps."""
        return self._queue.goes_at()

    def is_idle(self, now: float) -> bool:
        """Return whether there is nothing to remember."""
        is_counting = bool(self._counted) and now - self._counted[-1][1] <= RECENT_S
        return not (self.size_bytes or is_counting) and self._queue.is_rested(now)

    def attend(self, performers: Mapping[Owner, Performer | None]) -> None:
        """Let the commands of those go who are up, by the limits of their connector, and of nobody else."""
        up = {owner: one for owner, one in performers.items() if one is not None and one.is_up}
        if up:
            self._fit(next(iter(up.values())).config.rates)
        for owner in performers:
            (self._queue.resume if owner in up else self._queue.pause)(owner)

    def _fit(self, rates: Rates) -> None:
        """Keep to these limits, as soon as nothing is under way that was counted by others."""
        if rates == self._rates or self._queue.in_flight:
            return
        self._rates, self._queue = rates, _queue(rates)
        for chat, at in self._counted:
            self._queue.count(chat, at)
        for entry in self._entries.values():
            self._queue.restore(_item(entry.command))

    def count(self, chat: str, at: float) -> None:
        """Count a request of an earlier supervisor; in the order of their times, before any other call."""
        self._counted.append((chat, at))
        self._queue.count(chat, at)

    def put(self, entry: Entry, now: float) -> None:
        """Give a new command its place.

        Raises:
            Saturated: there is no room.
        """
        self._queue.put(_item(entry.command), now)
        self._entries[entry.command.number] = entry

    def go(self, entry: Entry, performer: Performer, now: float) -> bool:
        """Let a new command go at once if nothing else is here; return whether it is under way."""
        if self._entries or not performer.is_up:
            return False
        self.attend({owner_of(entry.command): performer})
        is_under_way = self._queue.go(_item(entry.command), now)
        if is_under_way:
            self._entries[entry.command.number] = entry
        return is_under_way

    def restore(self, entry: Entry) -> None:
        """Give a command that was accepted by an earlier supervisor its place, in the order of numbers."""
        self._queue.restore(_item(entry.command))
        self._entries[entry.command.number] = entry

    def take(self, now: float) -> Entry | None:
        """Return the next that may go now; it is under way then, until `done`."""
        item = self._queue.take(now)
        return None if item is None else self._entries[item.id]

    def done(self, entry: Entry, now: float, *, again_at: float | None = None) -> None:
        """A try is over; it stays the first of its chat until the next one, if there is to be one."""
        self._queue.done(entry.command.number, now, again_at)
        if again_at is None:
            del self._entries[entry.command.number]

    def withdraw(self, entry: Entry, now: float) -> None:
        """It was to be tried and never was, and will not be."""
        self._queue.withdraw(entry.command.number, now)
        del self._entries[entry.command.number]

    def forget(self, entry: Entry) -> None:
        """It will not go, and is not under way."""
        self._queue.remove(entry.command.number)
        self._entries.pop(entry.command.number, None)

    def hold(self, entry: Entry, until: float, *, is_chat: bool) -> None:
        """The platform wants nothing before this: of the command's chat, or of the whole app."""
        self._queue.hold(until, entry.command.chat if is_chat else None)

    def overdue(self, now: float) -> list[Entry]:
        """Remove and return what waits beyond its deadline."""
        return [self._entries.pop(item.id) for item in self._queue.expired(now)]

    def next_at(self, now: float) -> float | None:
        """Return when to look again if nothing happens."""
        return self._queue.next_at(now)


def _queue(rates: Rates) -> Queue:
    return Queue(rates, most=MOST, most_in_flight=MOST_IN_FLIGHT)


def _item(command: Command) -> Item:
    return Item(
        command.number,
        command.client,
        command.chat,
        command.accepted_at,
        command.deadline_at,
        owner_of(command),
    )
