"""What a lane has in hand: events that wait to be posted, whose turn is next, and which need not be. Pure.

Events of a chat go one post after the other, chats take turns. A post takes several events only where each is
delivered for the first time: one that failed goes alone, so that it cannot condemn others.

With `latest_wins`, of those that wait with the same type, account and value at that path only the newest is
posted; and none that is older than one that was. What was posted is known of the last `MAX_KEYS` values.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable
from typing import Any, cast

import msgspec

from longwire_protocol.event import Event
from longwire_protocol.subscription import IncomingEvent

MAX_KEYS = 1_000
"""Values known of a target: some 200 kB. One that is forgotten costs a post of what is old, no loss."""

_MAX_VALUE_CHARS = 64
"""Of a value that is kept as it is; a longer one, as a message's text, by its digest."""

Key = tuple[str, str, str]
"""Type, account, and the value as text."""

_NAMES = {"self": "bot"}
"""Fields that Python calls otherwise."""


class Item(msgspec.Struct, frozen=True, eq=False):
    """One event that waits or is being posted."""

    event: IncomingEvent
    place: Hashable
    """What it keeps its order with; its own where it keeps none."""
    key: Key | None
    """Where only the newest counts."""

    @property
    def seq(self) -> int:
        """Its number."""
        return self.event.seq or 0


class Hand:
    """One lane's.

    Args:
        is_ordered: whether the events of a chat keep their order.
        latest_wins: the path; `None` where every event counts.
    """

    def __init__(self, *, is_ordered: bool, latest_wins: str | None) -> None:
        self._is_ordered = is_ordered
        self._path = None if latest_wins is None else latest_wins.split(".")
        self._queues: dict[Hashable, deque[Item]] = {}
        self._ready: OrderedDict[Hashable, None] = OrderedDict()
        """Places with something that waits and nothing under way."""
        self._busy: set[Hashable] = set()
        self._waiting: dict[Key, Item] = {}
        self._posted: OrderedDict[Key, int] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        """How many events wait."""
        return self._size

    @property
    def is_ready(self) -> bool:
        """Whether there is something to post now."""
        return bool(self._ready)

    def add(self, event: IncomingEvent) -> list[IncomingEvent]:
        """Take an event in; return those that need not be posted any more, perhaps this one."""
        item = Item(event, self._place_of(event), self._key_of(event))
        if is_again(event):  # it goes before what waits behind it, which comes again, too
            self.drop_from(item.place, item.seq)
        gone: list[IncomingEvent] = []
        if item.key is not None:
            older = self._waiting.get(item.key)
            newest = max(self._posted.get(item.key, 0), 0 if older is None else older.seq)
            if item.seq < newest:
                return [event]
            if older is not None and older.seq != item.seq:
                self._remove(older)
                gone.append(older.event)
            self._waiting[item.key] = item
        self._queues.setdefault(item.place, deque()).append(item)
        self._size += 1
        if item.place not in self._busy:
            self._ready[item.place] = None
        return gone

    def take(self, most: int) -> list[Item]:
        """Return what goes into the next post, in order, at most so many; until `done` their chats wait."""
        taken: list[Item] = []
        while self._ready and len(taken) < most:
            place = next(iter(self._ready))
            queue = self._queues[place]
            if taken and is_again(queue[0].event):
                break
            del self._ready[place]
            self._busy.add(place)
            while queue and len(taken) < most and not (taken and is_again(queue[0].event)):
                taken.append(self._leaves(queue.popleft()))
                if is_again(taken[-1].event):
                    return taken
        return taken

    def done(self, items: Iterable[Item]) -> None:
        """Let their chats go on: the post is over, whatever came of it."""
        for place in {item.place: None for item in items}:
            self._busy.discard(place)
            if self._queues.get(place):
                self._ready[place] = None
            else:
                self._queues.pop(place, None)

    def posted(self, item: Item) -> list[IncomingEvent]:
        """Remember that it was; return what waits and need not be posted any more: copies, and older ones."""
        gone: list[IncomingEvent] = []
        queue = self._queues.get(item.place)
        if queue and queue[0].seq == item.seq:
            gone.append(self._leaves(queue.popleft()).event)
        if item.key is not None:
            self._posted[item.key] = max(item.seq, self._posted.pop(item.key, 0))
            older = self._waiting.get(item.key)
            if older is not None and older.seq < item.seq:
                self._remove(older)
                gone.append(older.event)
            if len(self._posted) > MAX_KEYS:
                self._posted.popitem(last=False)
        return gone

    def drop_from(self, place: Hashable, seq: int) -> None:
        """Forget what waits of a chat from this number on: it comes again, in order."""
        queue = self._queues.get(place)
        while queue and queue[-1].seq >= seq:
            self._leaves(queue.pop())
        if not queue:
            self._ready.pop(place, None)
            if place not in self._busy:
                self._queues.pop(place, None)

    def clear(self) -> None:
        """Forget all that waits; what is under way stays so until `done`."""
        self._queues.clear()
        self._ready.clear()
        self._waiting.clear()
        self._size = 0

    def _remove(self, item: Item) -> None:
        queue = self._queues[item.place]
        queue.remove(item)
        self._leaves(item)
        if not queue:
            self._ready.pop(item.place, None)
            if item.place not in self._busy:
                del self._queues[item.place]

    def _leaves(self, item: Item) -> Item:
        self._size -= 1
        if item.key is not None and self._waiting.get(item.key) is item:
            del self._waiting[item.key]
        return item

    def _place_of(self, event: IncomingEvent) -> Hashable:
        place = event.place if self._is_ordered else None
        return event.seq if place is None else place

    def _key_of(self, event: IncomingEvent) -> Key | None:
        if self._path is None:
            return None
        value = value_at(event, self._path)
        return None if value is None else (event.type, event.account, _short(repr(value)))


def _short(text: str) -> str:
    return (
        text if len(text) <= _MAX_VALUE_CHARS else hashlib.sha256(text.encode(errors="replace")).hexdigest()
    )


def is_again(event: Event) -> bool:
    """Whether it was delivered before."""
    return event.delivery is not None and event.delivery.attempt > 1


def value_at(event: Event, path: Iterable[str]) -> Any:
    """Return what an event has at a path, as `chat.id`; `None` where there is nothing, or no plain value."""
    found: Any = event
    for name in path:
        if isinstance(found, dict):
            found = cast("dict[str, Any]", found).get(name)
        elif isinstance(found, msgspec.Struct):
            python = _NAMES.get(name, name)
            found = getattr(found, python, None) if python in found.__struct_fields__ else None
        else:
            return None
    return found if isinstance(found, str | int | float | bool) else None
