"""The queue of one app's commands: what may go to the platform now.

Pure: no clock, no I/O. Times are seconds on any clock that does not go back, given as `now`. The rules:

- A chat's items go in the order in which they were put, one at a time: the next when `done` was said of the
  one before. So what one client has queued in a chat goes before what another brings there later: order in a
  chat goes before fairness.
- That is so for each of its owners, where an app has several: what one of them cannot carry out at present
  (`pause`) holds up no other. The limits of the chat are all owners' together.
- Among chats the clients take turns, one item each, whatever they have queued.
- The platform's limits hold in every window, for the app and for each chat: see `rates`.
- Nobody can fill it: a client may have as many items here as there are places left. So one client alone gets
  half of the room, two get a third each, and whoever comes as the n-th still finds the n-th part of it.

Nothing happens by itself: ask `take` and `expired` after each change and when `next_at` says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable
from math import inf
from typing import Final

from longwire.sending.chats import Chat, Item, Pace
from longwire.sending.rates import Bucket
from longwire.sending.turns import Turns
from longwire_protocol.agenda import Agenda
from longwire_protocol.declaration import Rates
from longwire_protocol.errors import LongwireError

_SOONEST_S: Final = 0.1
"""Nobody is told to come again earlier: where no limit is known answers make room, and take about that."""


class Saturated(LongwireError):
    """There is no room for this client's item; it may come again."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"too many commands wait; come again in {retry_after_s:.1f} s")
        self.retry_after_s = retry_after_s


class Queue:
    """The commands of one app that wait or are in flight; see the module's text.

    Each operation is O(log n), and O(1) for each client that waits in the chat concerned. What is remembered
    is bounded by `most`, and by the chats that are held, or were sent to within the longest window of a chat.

    Args:
        rates: what the platform takes; the same clock counts their seconds as `now`.
        most: items it has room for, waiting and in flight together.
        most_in_flight: items that may be on their way at once.
    """

    def __init__(self, rates: Rates, *, most: int, most_in_flight: int) -> None:
        self._rates = rates
        self._most = most
        self._most_in_flight = most_in_flight
        self._app = Bucket(rates.app)
        self._held_until = -inf
        self._chats: dict[tuple[Hashable, str], Chat] = {}
        self._paces: dict[str, Pace] = {}
        self._items: dict[int, Item] = {}
        self._clients: Counter[str] = Counter()
        self._owners: Counter[Hashable] = Counter()
        self._paused: set[Hashable] = set()
        self._in_flight: set[int] = set()
        self._overdue: dict[int, Item] = {}
        """Past their deadlines, and not told yet."""
        self._turns = Turns()
        self._deadlines: Agenda[int] = Agenda()
        """Of the items that are not in flight."""
        self._waking: Agenda[Chat] = Agenda()
        """The chats whose first item may go later."""
        self._resting: Agenda[Chat] = Agenda()
        """The chats without items: when they can be forgotten."""

    def __len__(self) -> int:
        return len(self._items)

    @property
    def in_flight(self) -> int:
        """How many of its items are on their way."""
        return len(self._in_flight)

    @property
    def owners(self) -> Collection[Hashable]:
        """Who has items here."""
        return self._owners.keys()

    def count_of(self, owner: Hashable) -> tuple[int, int]:
        """Return how many items of an owner wait, and how many are in flight."""
        flying = sum(self._items[item_id].owner == owner for item_id in self._in_flight)
        return self._owners[owner] - flying, flying

    # Items come in.

    def put(self, item: Item, now: float) -> None:
        """Let an item wait behind all others of its chat.

        Raises:
            Saturated: its client has its share of the room already; nothing changed.
        """
        self._catch_up(now)
        if self._clients[item.client] >= self._most - len(self._items):
            raise Saturated(self.retry_after_s(now, client=item.client))
        self.restore(item)

    def restore(self, item: Item) -> None:
        """Put an item that was accepted before, in an earlier process, however full it is.

        Raises:
            ValueError: there is an item of this id.
        """
        if item.id in self._items:
            raise ValueError(f"item {item.id} is in the queue")
        chat = self._add(item)
        self._deadlines.set(item.id, item.deadline_at)
        self._turns.join(chat, item.client)
        if len(chat.items) == 1:
            self._settle(chat)

    # Items go out.

    def go(self, item: Item, now: float) -> bool:
        """Let an item go at once, as `put` and `take` would, if there is nothing here to weigh it against.

        Returns:
            Whether it is in flight. If not, nothing changed.
        """
        self._catch_up(now)
        pace = self._paces.get(item.chat)
        goes_at = max(item.ready_at, self.goes_at(), -inf if pace is None else pace.goes_at())
        if self._items or item.owner in self._paused or not goes_at <= now < item.deadline_at:
            return False
        chat = self._add(item)
        self._resting.discard(chat)
        self._let_go(item, chat)
        return True

    def take(self, now: float) -> Item | None:
        """Return the next item that may go now, which is then in flight; call it until there is none."""
        self._catch_up(now)
        if len(self._in_flight) >= self._most_in_flight or self.goes_at() > now or not self._turns:
            return None
        chat = self._turns.pop()
        item = chat.head
        self._let_go(item, chat)
        self._deadlines.discard(item.id)
        self._settle_others(chat, now)
        return item

    def done(self, item_id: int, now: float, again_at: float | None = None) -> None:
        """Say that an item in flight was answered, or never will be.

        Args:
            item_id: the item.
            now: the time. Its request counts in the platform's windows until they have passed from here.
            again_at: when it is to go again; until then it stays first in its chat, up to its deadline.

        Raises:
            KeyError: it is not in flight.
        """
        item, chat = self._land(item_id)
        chat.pace.bucket.give_back(now)
        self._app.give_back(now)
        self._settle_others(chat, now)
        if again_at is None:
            self._drop(item)
        else:
            chat.retry_at = again_at
            self._deadlines.set(item_id, item.deadline_at)
            self._settle(chat)

    def withdraw(self, item_id: int, now: float) -> None:
        """Say that an item in flight was never sent and will not be: it takes nothing of the limits.

        Raises:
            KeyError: it is not in flight.
        """
        item, chat = self._land(item_id)
        chat.pace.bucket.put_back()
        self._app.put_back()
        self._settle_others(chat, now)
        self._drop(item)

    def _let_go(self, item: Item, chat: Chat) -> None:
        chat.is_busy = True
        chat.pace.bucket.take()
        self._app.take()
        self._in_flight.add(item.id)

    def _land(self, item_id: int) -> tuple[Item, Chat]:
        self._in_flight.remove(item_id)
        item = self._items[item_id]
        chat = self._chat_of(item)
        chat.is_busy = False
        return item, chat

    def expired(self, now: float) -> list[Item]:
        """Remove what is past its deadline and not in flight, and return it, the earliest deadline first."""
        self._catch_up(now)
        overdue, self._overdue = list(self._overdue.values()), {}
        return overdue

    def remove(self, item_id: int) -> bool:
        """Remove an item that waits; return whether it was there and not in flight."""
        if item_id in self._in_flight or item_id not in self._items:
            return self._overdue.pop(item_id, None) is not None
        self._deadlines.discard(item_id)
        self._drop(self._items[item_id])
        return True

    # What the platform says and sees.

    def hold(self, until: float, chat: str | None = None) -> None:
        """Let nothing go before this, to the whole app or to one chat; an earlier, longer hold stays."""
        if chat is None:
            self._held_until = max(self._held_until, until)
            return
        held = self._chat(None, chat).pace
        held.held_until = max(held.held_until, until)
        for each in held.chats:
            self._settle(each)

    def count(self, chat: str, at: float) -> None:
        """Count a request that did not come from this queue, answered then; tell them in their order.

        That is how the limits hold right after a restart: tell those of the longest window, as the disk has
        them, with the present time for what was in flight, since nobody knows when the platform saw it.
        """
        self._app.count(at)
        counted = self._chat(None, chat).pace
        counted.bucket.count(at)
        for each in counted.chats:
            self._settle(each)

    # What its owners can do.

    def pause(self, owner: Hashable) -> None:
        """Let nothing of this owner's go until `resume`; it keeps its place, and its deadlines."""
        self._set_paused(owner, is_paused=True)

    def resume(self, owner: Hashable) -> None:
        """Let the owner's items go on."""
        self._set_paused(owner, is_paused=False)

    def _set_paused(self, owner: Hashable, *, is_paused: bool) -> None:
        if is_paused == (owner in self._paused):
            return
        (self._paused.add if is_paused else self._paused.remove)(owner)
        for chat in self._chats.values():
            if chat.owner == owner:
                chat.is_paused = is_paused
                self._settle(chat)

    # When to come again.

    def next_at(self, now: float) -> float | None:
        """Return when `take` or `expired` has something next; `None`: not before something else happens."""
        self._catch_up(now)
        at = now if self._overdue else self._deadlines.first_at()
        if len(self._in_flight) < self._most_in_flight:
            ready_at = now if self._turns else self._waking.first_at()
            at = min(at, max(ready_at, self.goes_at()))
        return None if at == inf else max(at, now)

    def retry_after_s(self, now: float, *, client: str = "") -> float:
        """Return the seconds until there is room for another item of a client, as far as can be foreseen.

        So many of its own must go as it has too many (each that goes leaves a place, too), at the pace of the
        app, while the other clients take their turns.
        """
        mine = self._clients[client]
        too_many = mine - (self._most - len(self._items)) + 1
        if too_many <= 0:
            return 0.0
        turns = (too_many + 1) // 2 * (len(self._clients) if mine else 1)
        pace_s = max((rate.within_s / rate.most for rate in self._rates.app), default=0.0)
        begins_at = self.goes_at()
        wait_s = 0.0 if begins_at == inf else max(begins_at - now, 0.0)
        return wait_s + max(turns * pace_s, _SOONEST_S)

    def goes_at(self) -> float:
        """Return when the limits of the app and its hold let the next item go.

        `-inf`: there was nothing to wait for. `inf`: nobody knows before one comes back.
        """
        return max(self._held_until, self._app.free_at())

    def is_rested(self, now: float) -> bool:
        """Return whether a new queue would be the same."""
        self._catch_up(now)
        is_empty = not (self._items or self._overdue or self._chats)
        return is_empty and max(self._held_until, self._app.rested_at()) <= now

    # Its books.

    def _chat(self, owner: Hashable, name: str) -> Chat:
        if (owner, name) not in self._chats:
            if name not in self._paces:
                self._paces[name] = Pace(self._rates.chat)
            pace = self._paces[name]
            chat = Chat(owner, name, pace, is_paused=owner in self._paused)
            pace.chats.append(chat)
            self._chats[owner, name] = chat
        return self._chats[owner, name]

    def _chat_of(self, item: Item) -> Chat:
        return self._chats[item.owner, item.chat]

    def _forget(self, chat: Chat) -> None:
        del self._chats[chat.owner, chat.name]
        chat.pace.chats.remove(chat)
        if not chat.pace.chats:
            del self._paces[chat.name]

    def _add(self, item: Item) -> Chat:
        chat = self._chat(item.owner, item.chat)
        self._items[item.id] = item
        self._clients[item.client] += 1
        self._owners[item.owner] += 1
        chat.add(item)
        return chat

    def _drop(self, item: Item) -> None:
        del self._items[item.id]
        self._clients[item.client] -= 1
        if not self._clients[item.client]:
            del self._clients[item.client]
        self._owners[item.owner] -= 1
        if not self._owners[item.owner]:
            del self._owners[item.owner]
        chat = self._chat_of(item)
        if item is chat.head:
            self._turns.discard(chat)
            chat.drop(item)
            self._settle(chat)
        else:
            chat.drop(item)
            if item.client not in chat.clients:
                self._turns.leave(chat, item.client)

    def _settle(self, chat: Chat) -> None:
        """Find out anew when the chat's first item may go, or when the chat can be forgotten."""
        self._turns.discard(chat)
        self._waking.set(chat, chat.goes_at())
        self._resting.set(chat, chat.rested_at())

    def _settle_others(self, chat: Chat, now: float) -> None:
        """See what a request of one owner means for the others of its chat: they may have to wait longer."""
        for other in chat.pace.chats:
            if other is not chat and (not other.is_up or other.goes_at() > now):  # else it keeps its turn
                self._settle(other)

    def _catch_up(self, now: float) -> None:
        """Do what time brings about; mostly nothing, and then this costs nothing."""
        if self._deadlines.quiet_until <= now:
            for item_id in self._deadlines.pop_due(now):
                self._overdue[item_id] = self._items[item_id]
                self._drop(self._items[item_id])
        if self._waking.quiet_until <= now:
            for chat in self._waking.pop_due(now):
                self._turns.add(chat)
        if self._resting.quiet_until <= now:
            for chat in self._resting.pop_due(now):
                self._forget(chat)
