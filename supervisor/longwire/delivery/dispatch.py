"""Who gets which of the events held for a subscription, when, and when again.

A chat with something to send stands, under the number of that event, in a heap: in its owner's while it
has events in flight, in the dispatch's own (`_free`) when any consumer may have it. So the lowest number a
consumer may have is the lower of two heap tops, and a sole consumer gets first deliveries in `seq` order.
Numbers in these heaps are never searched for: one that no longer says the truth is skipped when it
comes to the top. Nothing here takes longer than a heap operation per event; a `nack`, a timeout and a
leaving consumer take time for the events they concern.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from itertools import count

from longwire.delivery.chats import Chat, Consumer, Entry
from longwire.delivery.records import ConsumerId, Send, WindowLimits
from longwire.journal.records import Stored

_SLACK = 8  # delays may outnumber the held events twofold and by this many before they are cleaned


class Dispatch:
    """The events held for a subscription and the consumers they go to."""

    def __init__(self, limits: WindowLimits) -> None:
        self._limits = limits
        # Both ordered, so that their first is found at once: held by number, in flight by deadline.
        self._held: OrderedDict[int, Entry] = OrderedDict()
        self._in_flight: OrderedDict[int, Entry] = OrderedDict()
        self._bytes = 0
        self._chats: dict[tuple[str, str], Chat] = {}
        self._free: list[int] = []
        self._delays: list[tuple[float, int, Chat]] = []
        self._consumers: dict[ConsumerId, Consumer] = {}
        self._numbers = count()
        self._finished = 0

    def __len__(self) -> int:
        """How many events are held, in flight or not."""
        return len(self._held)

    def __iter__(self) -> Iterator[int]:
        """The numbers of the events held, ascending."""
        return iter(self._held)

    def __contains__(self, seq: int) -> bool:
        return seq in self._held

    @property
    def size_bytes(self) -> int:
        """The bytes of the bodies held."""
        return self._bytes

    @property
    def finished(self) -> int:
        """How many events were done since the beginning."""
        return self._finished

    @property
    def consumers(self) -> list[ConsumerId]:
        """Who has joined, in that order."""
        return list(self._consumers)

    @property
    def has_consumers(self) -> bool:
        """Whether anybody has joined."""
        return bool(self._consumers)

    def next_deadline(self) -> float | None:
        """Return when `step` must be called even if nothing happens; `None` for never."""
        deadlines = [delay[0] for delay in self._delays[:1]]
        if self._in_flight:
            deadlines.append(next(iter(self._in_flight.values())).deadline)
        return min(deadlines, default=None)

    def hold(self, event: Stored) -> None:
        """Take an event in; its number is above all that were held before."""
        if event.chat is None:
            chat = Chat(None)
        else:
            key = (event.account, event.chat)
            known = self._chats.get(key)
            chat = self._chats[key] = Chat(key) if known is None else known
        entry = Entry(event.seq, chat=chat, body=event.body)
        self._held[entry.seq] = entry
        self._bytes += len(entry.body)
        chat.pending.append(entry)
        if len(chat.pending) == 1:
            self._make_ready(chat)

    def join(self, consumer: ConsumerId, *, credit: int) -> None:
        """Let a consumer have events; one that joins again begins anew, as it may have lost what it had."""
        self.leave(consumer)
        self._consumers[consumer] = Consumer(consumer, number=next(self._numbers), credit=credit)

    def leave(self, consumer: ConsumerId) -> None:
        """Hand what the consumer has in flight over to the others; none of it is lost if there are none."""
        gone = self._consumers.pop(consumer, None)
        if gone is None:
            return
        entries = [self._held[seq] for seq in gone.sent if seq in self._held]
        for entry in entries:
            if entry.consumer is gone:
                self._requeue(entry.chat, from_seq=0)

    def add_credit(self, consumer: ConsumerId, n: int) -> None:
        """Let so many more events be sent to it."""
        joined = self._consumers[consumer]
        joined.credit += n
        joined.tidy(self._held)

    def ack(self, consumer: ConsumerId, *, seqs: Sequence[int], up_to: int | None) -> list[int]:
        """Let go of these events; return the numbers of `seqs` that are not held or were never sent there."""
        joined = self._consumers[consumer]
        refused = [seq for seq in seqs if seq not in joined.sent or seq not in self._held]
        for seq in seqs:
            if seq in joined.sent:
                joined.sent.discard(seq)
                self._finish_if_held(seq)
        for seq in () if up_to is None else joined.take_sent(up_to):
            self._finish_if_held(seq)
        joined.tidy(self._held)
        return refused

    def nack(self, consumer: ConsumerId, *, seq: int, delay_s: float, now: float) -> bool:
        """Take the event and what followed it in its chat back, and wait before they are sent again.

        Returns:
            Whether it is held and was ever sent there. If it is no longer in flight there, nothing happens.
        """
        joined = self._consumers[consumer]
        entry = self._held.get(seq)
        if entry is None or seq not in joined.sent:
            return False
        if entry.consumer is joined:
            if delay_s > 0:
                self._delay(entry.chat, until=now + min(delay_s, self._limits.max_delay_s))
            self._requeue(entry.chat, from_seq=seq)
        return True

    def drop_through(self, seq: int) -> None:
        """Let go of everything up to this number, whoever has it."""
        for held in [held for held in self._held if held <= seq]:
            self._finish(self._held[held])

    # Time passes, events go out.

    def step(self, now: float, *, max_sends: int = 1_000) -> list[Send]:
        """Return what to send now; call it again until it returns nothing, and after every other call.

        Each event goes to the consumer with the most credit of those who may have it, and each costs one.
        """
        self._end_delays(now)
        self._expire(now)
        overdue_at = now + self._limits.ack_timeout_s
        willing = [(-c.credit, c.in_flight, c.number, c) for c in self._consumers.values() if c.credit > 0]
        heapify(willing)
        sends: list[Send] = []
        while willing and len(sends) < max_sends:
            consumer = willing[0][3]
            entry = self._pop_next(consumer) if consumer.credit > 0 else None
            if entry is None:
                heappop(willing)
                continue
            self._send(entry, consumer, overdue_at=overdue_at)
            sends.append(Send(consumer.id, entry.seq, entry.attempt, entry.body))
            heapreplace(willing, (-consumer.credit, consumer.in_flight, consumer.number, consumer))
        return sends

    def _pop_next(self, consumer: Consumer) -> Entry | None:
        """Return the lowest event that the consumer may have, and take it out of its heap."""
        own = self._top(consumer.ready, owner=consumer)
        free = self._top(self._free, owner=None)
        if own is not None and (free is None or own.seq < free.seq):
            heappop(consumer.ready)
            return own
        if free is not None:
            heappop(self._free)
        return free

    def _top(self, heap: list[int], *, owner: Consumer | None) -> Entry | None:
        """Return the event at the top of a heap, once the numbers that have become untrue are gone."""
        while heap:
            entry = self._held.get(heap[0])
            if entry is not None:
                chat = entry.chat
                is_first = bool(chat.pending) and chat.pending[0] is entry
                if is_first and chat.owner is owner and chat.wait_until is None:
                    return entry
            heappop(heap)
        return None

    def _send(self, entry: Entry, consumer: Consumer, *, overdue_at: float) -> None:
        chat = entry.chat
        chat.pending.popleft()
        chat.owner = entry.consumer = consumer
        chat.in_flight[entry.seq] = self._in_flight[entry.seq] = entry
        entry.attempt += 1
        entry.deadline = overdue_at
        consumer.credit -= 1
        consumer.in_flight += 1
        consumer.note_sent(entry.seq)
        self._make_ready(chat)

    def _expire(self, now: float) -> None:
        while self._in_flight:
            entry = next(iter(self._in_flight.values()))
            if entry.deadline > now:
                return
            self._requeue(entry.chat, from_seq=entry.seq)

    def _delay(self, chat: Chat, *, until: float) -> None:
        chat.wait_until = until if chat.wait_until is None else max(until, chat.wait_until)
        heappush(self._delays, (chat.wait_until, next(self._numbers), chat))
        if len(self._delays) > 2 * len(self._held) + _SLACK:
            # Chats whose failing events were acknowledged late leave their delays behind.
            self._delays = [delay for delay in self._delays if delay[2].wait_until == delay[0]]
            heapify(self._delays)

    def _end_delays(self, now: float) -> None:
        while self._delays and self._delays[0][0] <= now:
            until, _, chat = heappop(self._delays)
            if chat.wait_until == until:
                chat.wait_until = None
                self._make_ready(chat)

    # The books.

    def _make_ready(self, chat: Chat) -> None:
        """Enter the chat's next event where consumers look for it."""
        if chat.pending and chat.wait_until is None:
            heappush(self._free if chat.owner is None else chat.owner.ready, chat.pending[0].seq)

    def _requeue(self, chat: Chat, *, from_seq: int) -> None:
        """Take the chat's events in flight from this number on back, to be sent again in order."""
        for seq in sorted((seq for seq in chat.in_flight if seq >= from_seq), reverse=True):
            entry = chat.in_flight[seq]
            self._ground(entry)
            chat.pending.appendleft(entry)
        self._settle(chat)

    def _finish_if_held(self, seq: int) -> None:
        entry = self._held.get(seq)
        if entry is not None:
            self._finish(entry)

    def _finish(self, entry: Entry) -> None:
        """Let go of an event that is done, wherever it is."""
        del self._held[entry.seq]
        self._bytes -= len(entry.body)
        self._finished += 1
        was_in_flight = self._ground(entry)
        if not was_in_flight:
            entry.chat.pending.remove(entry)  # acknowledged late; these come from the front
        if not was_in_flight or not entry.chat.in_flight:
            self._settle(entry.chat)

    def _ground(self, entry: Entry) -> bool:
        """Take an event out of flight; false if it is in none."""
        consumer = entry.consumer
        if consumer is None:
            return False
        del self._in_flight[entry.seq]
        del entry.chat.in_flight[entry.seq]
        entry.consumer = None
        consumer.in_flight -= 1
        return True

    def _settle(self, chat: Chat) -> None:
        """Free a chat with nothing in flight, forget one with nothing at all, and let the next be sent."""
        if not chat.in_flight:
            chat.owner = None
            if not chat.pending:
                chat.wait_until = None
                if chat.key is not None:
                    self._chats.pop(chat.key, None)
        self._make_ready(chat)
