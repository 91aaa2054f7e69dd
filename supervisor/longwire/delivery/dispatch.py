"""Who gets which of the events held for a subscription, when, and when again.

Events come in `fresh`, a queue. As long as all is in order, which is nearly always, they go from it to the
sole consumer in a `Stream` and are acknowledged there, without any books. When something is not, those in
flight get books (`_keep_books`), and everything has them until nothing is held. Then `fresh` goes to a sole
consumer by `_serve`, or is sorted into chats: one with something to send stands, under the number of that
event, in a heap: in its owner's while it has events in flight, in the dispatch's own (`_free`) when any
consumer may have it. So the lowest number a consumer may have is the lower of two heap tops, and a sole
consumer gets first deliveries in `seq` order. Numbers in these heaps are never searched for: one that no
longer says the truth is skipped when it comes to the top. Nothing here takes longer than a heap operation per
event; a failure and a leaving consumer take time for the events they concern.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from itertools import count

from longwire.delivery.chats import GIVEN_BACK, Chat, Consumer, Entry
from longwire.delivery.delays import Delays
from longwire.delivery.failures import failed_again, is_hopeless, retry_delay_s
from longwire.delivery.records import Cause, ConsumerId, DeadEvent, Failing, WindowLimits
from longwire.delivery.stream import Flight, Stream, is_among
from longwire.journal.records import Stored

Sends = Mapping[ConsumerId, Sequence[Entry | Flight]]
"""What to send to whom now, in order; read it before anything else happens to the window."""


class Dispatch:
    """The events held for a subscription and the consumers they go to."""

    def __init__(
        self,
        limits: WindowLimits,
        *,
        failing: dict[int, Failing],
        luck: Callable[[], float],
        unix_offset_s: float,
    ) -> None:
        self.limits = limits
        self.changes = 0
        """Grows when anything changes that is persisted."""
        self.failing = failing
        """What failed and is not done, by number; also of events that are not held yet."""
        self._luck = luck
        self._unix_offset_s = unix_offset_s
        self._fresh: deque[Stored] = deque()
        self._stream = Stream()
        """Those in flight without books; then nothing is in `_held`."""
        self._held: dict[int, Entry] = {}
        """All others, by number; ascending, but for what was resumed."""
        self._resumed: set[int] = set()
        self._resumed_done: list[int] = []
        self._dead: list[DeadEvent] = []
        self._bytes = 0
        self._chats: dict[tuple[str, str], Chat] = {}
        self._free: list[int] = []
        self._delays = Delays()
        self._consumers: dict[ConsumerId, Consumer] = {}
        self._numbers = count()

    def __len__(self) -> int:
        """How many events are held, in flight or not."""
        return len(self._fresh) + len(self._stream) + len(self._held)

    def __iter__(self) -> Iterator[int]:
        """The numbers of the events held, ascending, but for what was resumed."""
        yield from [seq for seq in self._held if seq not in self._resumed] if self._resumed else self._held
        yield from self._stream
        for event in self._fresh:
            yield event.seq

    def __contains__(self, seq: int) -> bool:
        return seq in self._held or is_among(self._fresh, seq) or seq in self._stream

    @property
    def oldest_at(self) -> float | None:
        """When the first event held was received, in Unix seconds; `None` if none is held."""
        for entry in self._held.values():
            return entry.event.recv_time
        event = self._stream.first or next(iter(self._fresh), None)
        return None if event is None else event.recv_time

    @property
    def size_bytes(self) -> int:
        """The bytes of the bodies held."""
        return self._bytes

    @property
    def consumers(self) -> list[ConsumerId]:
        """Who has joined, in that order."""
        return list(self._consumers)

    @property
    def has_consumers(self) -> bool:
        """Whether anybody has joined."""
        return bool(self._consumers)

    @property
    def in_flight(self) -> int:
        """How many events are sent and not acknowledged."""
        return len(self._stream) + sum(len(consumer.in_flight) for consumer in self._consumers.values())

    def take_dead(self) -> list[DeadEvent]:
        """Return what was given up since the last call."""
        dead, self._dead = self._dead, []
        return dead

    def take_resumed_done(self) -> list[int]:
        """Return what was resumed and done since the last call, acknowledged or given up again."""
        done, self._resumed_done = self._resumed_done, []
        return done

    def next_deadline(self) -> float | None:
        """Return when `step` must be called even if nothing happens; `None` for never."""
        deadlines = [] if self._delays.next_at is None else [self._delays.next_at]
        if self._stream.sent_at is not None:
            deadlines.append(self._stream.sent_at + self.limits.ack_timeout_s)
        for consumer in self._consumers.values():
            for entry in consumer.in_flight.values():
                deadlines.append(entry.sent_at + self.limits.ack_timeout_s)
                break  # the first is the first to be overdue
        return min(deadlines, default=None)

    def hold(self, events: Sequence[Stored]) -> None:
        """Take events in; their numbers are above all that were held before."""
        self._fresh.extend(events)
        self._bytes += sum([len(event.body) for event in events])

    def resume(self, event: Stored, *, attempt: int) -> None:
        """Take an event in that was given up; it is the next of its chat, and `attempt` deliveries old."""
        self._keep_books()
        if event.seq in self:
            return
        entry = self._enter(event)
        entry.attempt = max(entry.attempt, attempt)
        if entry.chat.owner is not None:  # who sees an event again drops what it holds behind it
            self._requeue(entry.chat, consumer=entry.chat.owner, from_seq=event.seq)
        entry.chat.pending.appendleft(entry)
        self._resumed.add(event.seq)
        self._bytes += len(event.body)
        self._make_ready(entry.chat)

    def discard(self, seq: int) -> None:
        """Forget a resumed event."""
        if seq in self._resumed:
            self._finish(self._held[seq])

    # Consumers.

    def join(self, consumer: ConsumerId, *, credit: int) -> None:
        """Let a consumer have events; one that joins again begins anew, as it may have lost what it had."""
        self._keep_books()
        self.leave(consumer)
        self._consumers[consumer] = Consumer(consumer, number=next(self._numbers), credit=credit)

    def leave(self, consumer: ConsumerId, *, failed_at: float | None = None) -> None:
        """Hand what the consumer has in flight over to the others; none of it is lost if there are none.

        With `failed_at`, the first of each chat in flight has failed. But only what the consumer has had
        longest can be given up for it, as most clients work in order: the others stop one failure short.
        """
        self._keep_books()
        gone = self._consumers.pop(consumer, None)
        if gone is None:
            return
        suspect = next(iter(gone.in_flight.values()), None)
        heads: dict[Chat, Entry] = {}
        for entry in sorted(gone.in_flight.values(), key=lambda entry: entry.seq):
            heads.setdefault(entry.chat, entry)
        for chat, head in heads.items():
            if failed_at is None:
                self._requeue(chat, consumer=gone, from_seq=head.seq)
            else:
                self._fail(head, gone, Cause.CLIENT_LEFT, now=failed_at, can_end=head is suspect)

    def add_credit(self, consumer: ConsumerId, n: int) -> None:
        """Let so many more events be sent to it."""
        joined = self._consumers[consumer]
        joined.credit += n
        joined.tidy(self._held.keys())

    def ack(self, consumer: ConsumerId, *, seqs: Sequence[int], up_to: int | None) -> list[int]:
        """Let go of these events; return the numbers of `seqs` that are not held or were never sent there."""
        joined = self._consumers[consumer]
        if self._stream:
            seqs = self._ack_stream(seqs, up_to=up_to)
        refused: list[int] = []
        for seq in seqs:
            entry = self._held.get(seq)
            if entry is not None and (entry.consumer is joined or seq in joined.had):
                self._finish(entry)
            else:
                refused.append(seq)
        if up_to is not None and self._held:
            for entry in joined.sent_up_to(up_to):
                self._finish(entry)
            for seq in joined.had_up_to(up_to):
                if seq in self._held:
                    self._finish(self._held[seq])
        joined.tidy(self._held.keys())
        return refused

    def nack(self, consumer: ConsumerId, *, seq: int, delay_s: float | None, now: float) -> bool:
        """Take the event and what followed it in its chat back, and wait before they are sent again.

        Returns:
            Whether it is held and was ever sent there. If it is no longer in flight there, nothing happens.
        """
        self._keep_books()
        joined = self._consumers[consumer]
        entry = self._held.get(seq)
        if entry is not None and entry.consumer is joined:
            for later in entry.chat.in_flight.values():
                later.sent_behind = GIVEN_BACK if later.seq >= seq else later.sent_behind
            self._fail(entry, joined, Cause.NACKED, now=now, asked_s=delay_s)
            return True
        return entry is not None and seq in joined.had

    def drop_through(self, seq: int) -> None:
        """Let go of everything up to this number, whoever has it, but for what was resumed."""
        self._keep_books()
        while self._fresh and self._fresh[0].seq <= seq:
            event = self._fresh.popleft()
            self._bytes -= len(event.body)
            self.changes += 1
            self.failing.pop(event.seq, None)
        for held in [held for held in self._held if held <= seq and held not in self._resumed]:
            self._finish(self._held[held])

    def keep_only(self, is_wanted: Callable[[Stored], bool]) -> None:
        """Let go of every other event, whoever has it, but for what was resumed."""
        self._keep_books()
        self._sort_fresh()
        for entry in [*self._held.values()]:
            if entry.seq not in self._resumed and not is_wanted(entry.event):
                self._finish(entry)

    # Time passes, events go out.

    def step(self, now: float, *, max_sends: int) -> Sends:
        """Return what to send now; call it again until it returns nothing, and after every other call.

        Each event goes to the consumer with the most credit of those who may have it, and each costs one.
        """
        for chat in self._delays.ended(now):
            self._make_ready(chat)
        self._expire(now)
        if len(self._consumers) == 1:
            (sole,) = self._consumers.values()
            is_ascending = not self._fresh or self._fresh[0].seq > sole.highest
            if is_ascending and not self._held and not self.failing:
                return self._send_stream(sole, now=now, max_sends=max_sends)
            if self._top(self._free, owner=None) is None and self._top(sole.ready, owner=sole) is None:
                sent = self._serve(sole, now=now, max_sends=max_sends)
                return {sole.id: sent} if sent else {}
        self._sort_fresh()
        return self._deal(now, max_sends=max_sends)

    def _send_stream(self, consumer: Consumer, *, now: float, max_sends: int) -> Sends:
        room = min(consumer.credit, max_sends)
        if room <= 0 or not self._fresh:
            return {}
        sent = self._stream.send(self._fresh, room, now=now)
        consumer.credit -= len(sent)
        consumer.highest = sent[-1].seq
        return {consumer.id: sent}

    def _ack_stream(self, seqs: Sequence[int], *, up_to: int | None) -> Sequence[int]:
        """Let go of what is acknowledged in order; return the other numbers, with books made for them."""
        done = self._stream.finish(seqs)
        rest = seqs[len(done) :]
        if any(seq in self._stream for seq in rest):
            self._keep_books()
        elif up_to is not None:
            done += self._stream.finish_through(up_to)
        self._bytes -= sum([len(event.body) for event in done])
        self.changes += len(done)
        return rest

    def _keep_books(self) -> None:
        """Give what is in the stream books, as if it had been sent with them."""
        for event, sent_at in self._stream.drain():
            (consumer,) = self._consumers.values()
            entry = self._enter(event)
            chat = entry.chat
            chat.owner = entry.consumer = consumer
            consumer.in_flight[event.seq] = chat.in_flight[event.seq] = entry
            entry.attempt, entry.sent_at = 1, sent_at

    def _serve(self, consumer: Consumer, *, now: float, max_sends: int) -> list[Entry]:
        """Send what is fresh to the sole consumer, in order; what is behind a delay waits in its chat."""
        fresh, in_flight = self._fresh, consumer.in_flight
        sent: list[Entry] = []
        room = min(consumer.credit, max_sends)
        while fresh and len(sent) < room:
            entry = self._enter(fresh.popleft())
            chat, seq = entry.chat, entry.seq
            if chat.wait_until is None:
                chat.owner = entry.consumer = consumer
                in_flight[seq] = chat.in_flight[seq] = entry
                self._count_delivery(entry, now=now)
                consumer.note_sent(entry)
                sent.append(entry)
            else:
                chat.pending.append(entry)
        consumer.credit -= len(sent)
        return sent

    def _sort_fresh(self) -> None:
        """Give all fresh events books, in their chats."""
        while self._fresh:
            event = self._fresh.popleft()
            entry = self._enter(event)
            entry.chat.pending.append(entry)
            if len(entry.chat.pending) == 1:
                self._make_ready(entry.chat)

    def _deal(self, now: float, *, max_sends: int) -> Sends:
        willing = [
            (-c.credit, len(c.in_flight), c.number, c) for c in self._consumers.values() if c.credit > 0
        ]
        heapify(willing)
        sends: dict[ConsumerId, list[Entry]] = {}
        n = 0
        while willing and n < max_sends:
            consumer = willing[0][3]
            entry = self._pop_next(consumer) if consumer.credit > 0 else None
            if entry is None:
                heappop(willing)
                continue
            self._send(entry, consumer, now=now)
            sends.setdefault(consumer.id, []).append(entry)
            n += 1
            heapreplace(willing, (-consumer.credit, len(consumer.in_flight), consumer.number, consumer))
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

    def _send(self, entry: Entry, consumer: Consumer, *, now: float) -> None:
        chat = entry.chat
        chat.pending.popleft()
        chat.owner = entry.consumer = consumer
        chat.in_flight[entry.seq] = consumer.in_flight[entry.seq] = entry
        self._count_delivery(entry, now=now)
        consumer.credit -= 1
        consumer.note_sent(entry)
        self._make_ready(chat)

    def _count_delivery(self, entry: Entry, *, now: float) -> None:
        entry.attempt += 1
        entry.sent_at = now
        if self.failing and entry.seq in self.failing:
            self.failing[entry.seq].attempt = entry.attempt
            self.changes += 1

    # Failures.

    def _expire(self, now: float) -> None:
        sent_at = self._stream.sent_at
        if sent_at is not None and sent_at + self.limits.ack_timeout_s <= now:
            self._keep_books()
        for consumer in self._consumers.values():
            while consumer.in_flight:
                entry = next(iter(consumer.in_flight.values()))
                if entry.sent_at + self.limits.ack_timeout_s > now:
                    break
                self._fail(entry, consumer, Cause.ACK_TIMEOUT, now=now)

    def _fail(
        self,
        entry: Entry,
        consumer: Consumer,
        cause: Cause,
        *,
        now: float,
        asked_s: float | None = None,
        can_end: bool = True,
    ) -> None:
        """Count a failure of an event in flight; send it and what followed it again, or give it up."""
        at = now + self._unix_offset_s
        failing = self.failing.get(entry.seq)
        if failing is None:
            failing = self.failing[entry.seq] = Failing(entry.seq, entry.attempt, 0, 0.0, at, at)
        failed_again(failing, flight_s=now - entry.sent_at, at=at)
        self.changes += 1
        self._requeue(entry.chat, consumer=consumer, from_seq=entry.seq)
        if not can_end:
            failing.failures = min(failing.failures, max(1, self.limits.max_attempts - 1))
        elif is_hopeless(failing, self.limits):
            self._dead.append(DeadEvent(entry.event, failing, cause))
            self._finish(entry)
            return
        delay_s = retry_delay_s(failing, cause, asked_s=asked_s, limits=self.limits, luck=self._luck)
        if delay_s > 0:
            failing.blocked_s += delay_s
            self._delays.add(entry.chat, until=now + delay_s, held=len(self._held))

    # The books.

    def _chat_of(self, event: Stored) -> Chat:
        if event.chat is None or self.limits.order == "none":
            return Chat(None)
        key = (event.account, event.chat)
        chat = self._chats.get(key)
        if chat is None:
            chat = self._chats[key] = Chat(key)
        return chat

    def _enter(self, event: Stored) -> Entry:
        entry = self._held[event.seq] = Entry(event.seq, event, self._chat_of(event))
        if self.failing and event.seq in self.failing:
            entry.attempt = self.failing[event.seq].attempt
        return entry

    def _make_ready(self, chat: Chat) -> None:
        """Enter the chat's next event where consumers look for it."""
        if chat.pending and chat.wait_until is None:
            heappush(self._free if chat.owner is None else chat.owner.ready, chat.pending[0].seq)

    def _requeue(self, chat: Chat, *, consumer: Consumer, from_seq: int) -> None:
        """Take the chat's events in flight from this number on back, to be sent again in order."""
        for seq in sorted((seq for seq in chat.in_flight if seq >= from_seq), reverse=True):
            entry = chat.in_flight[seq]
            consumer.had[seq] = entry.sent_behind
            _ground(entry, consumer)
            chat.pending.appendleft(entry)
        self._settle(chat)

    def _finish(self, entry: Entry) -> None:
        """Let go of an event that is done, wherever it is."""
        seq, chat = entry.seq, entry.chat
        del self._held[seq]
        self._bytes -= len(entry.event.body)
        self.changes += 1
        if self.failing:
            self.failing.pop(seq, None)
        if seq in self._resumed:
            self._resumed.discard(seq)
            self._resumed_done.append(seq)
        if entry.consumer is None:
            chat.pending.remove(entry)  # acknowledged late; these come from the front
            self._settle(chat)
        else:
            _ground(entry, entry.consumer)
            if not chat.in_flight:
                self._settle(chat)

    def _settle(self, chat: Chat) -> None:
        """Free a chat with nothing in flight, forget one with nothing at all, and let the next be sent."""
        if not chat.in_flight:
            chat.owner = None
            if not chat.pending:
                chat.wait_until = None
                if chat.key is not None:
                    self._chats.pop(chat.key, None)
        self._make_ready(chat)


def _ground(entry: Entry, consumer: Consumer) -> None:
    """Take an event out of its flight to the consumer."""
    del consumer.in_flight[entry.seq]
    del entry.chat.in_flight[entry.seq]
    entry.consumer = None
