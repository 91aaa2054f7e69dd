"""One chat of an app: what an owner is to send there, in the order in which it came, one at a time."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable, Sequence
from math import inf

import msgspec

from longwire.sending.rates import Bucket
from longwire_protocol.declaration import Rate


class Item(msgspec.Struct, frozen=True):
    """A command, as far as its turn depends on it; times are seconds on the queue's clock."""

    id: int
    """Unique in the queue."""
    client: str
    """With whom it shares a turn."""
    chat: str
    """Among which it keeps its place; what is for no chat has one of its own."""
    ready_at: float
    """Not before this; what is behind it in its chat waits, too."""
    deadline_at: float
    """It does not go at this time or later; `inf` for none."""
    owner: Hashable = None
    """Who carries it out. Each owner's items in a chat have an order of their own."""


class Pace:
    """What the platform still takes of one chat, whoever of its owners sends there."""

    __slots__ = ("bucket", "chats", "held_until")

    def __init__(self, rates: Sequence[Rate]) -> None:
        self.bucket = Bucket(rates)
        self.held_until = -inf
        self.chats: list[Chat] = []
        """This chat of each owner."""

    def goes_at(self) -> float:
        """Return when the next request may go there; `inf` while only an answer helps."""
        return max(self.held_until, self.bucket.free_at())

    def rested_at(self) -> float:
        """Return from when on there is nothing to remember of what went there."""
        return max(self.held_until, self.bucket.rested_at())


class Chat:
    """The books of one owner's chat; `is_paused` while its owner can carry out nothing."""

    __slots__ = ("clients", "is_busy", "is_paused", "is_up", "items", "name", "owner", "pace", "retry_at")

    def __init__(self, owner: Hashable, name: str, pace: Pace, *, is_paused: bool) -> None:
        self.owner = owner
        self.name = name
        self.pace = pace
        self.is_paused = is_paused
        # Not a `dict`: to find the first one takes longer the more were taken from its front.
        self.items: OrderedDict[int, Item] = OrderedDict()
        self.clients: Counter[str] = Counter()
        """Whose items are here, and how many."""
        self.is_busy = False
        """Whether the first of them is in flight."""
        self.is_up = False
        """Whether it stands in its clients' lines: see `Turns`."""
        self.retry_at = -inf
        """Before when the first one does not go again."""

    @property
    def head(self) -> Item:
        """Whose turn is next, or now."""
        return next(iter(self.items.values()))

    def add(self, item: Item) -> None:
        """Let it go behind all that are here."""
        self.items[item.id] = item
        self.clients[item.client] += 1

    def drop(self, item: Item) -> None:
        """Let the next one move up."""
        if item is self.head:
            self.retry_at = -inf
        del self.items[item.id]
        self.clients[item.client] -= 1
        if not self.clients[item.client]:
            del self.clients[item.client]

    def goes_at(self) -> float:
        """Return when the next may go; `inf` while one is in flight, none is here, or the owner is paused."""
        if self.is_busy or self.is_paused or not self.items:
            return inf
        return max(self.head.ready_at, self.retry_at, self.pace.goes_at())

    def rested_at(self) -> float:
        """Return from when on there is nothing to remember; `inf` while there are items."""
        return inf if self.items else self.pace.rested_at()
