"""The delivery window against a simple model, in any order of things that can happen to it.

The model knows the journal, what was acknowledged, failed and given up, and what is in flight where; it
checks every send against the rules, and at the end of each run that everything is delivered and acknowledged
in order, or a dead letter.
"""

from collections import defaultdict
from math import inf

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from longwire.delivery import DeadEvent, Entry, Filters, Progress, Window, WindowLimits
from longwire.journal import Page, Stored

LIMITS = WindowLimits(max_events=12, page_events=5, ack_timeout_s=10.0, max_attempts=3, chat_block_max_s=25.0)
CHATS = [None, "a", "b", "c"]
CLIENTS = ["c", "d", "e"]
FILTERS = Filters(types=frozenset({"wanted"}))


class DeliveryMachine(RuleBasedStateMachine):
    """Whatever journal, clients and clock can do to a window."""

    def __init__(self) -> None:
        super().__init__()
        self.journal: list[Stored] = []
        self.now = 0.0
        self.window = Window(Progress(0), head=0, filters=FILTERS, limits=LIMITS)
        self.saved = Progress(0)
        self.letters: dict[int, DeadEvent] = {}
        """On disk, as the progress."""
        self.resumed_letters: set[int] = set()
        """Those of them that are to be delivered again."""
        self.resumed: set[int] = set()
        """In the window again; exempt from the order, as what followed them is done."""
        self.credit: dict[str, int] = {}
        self.sent_to: dict[str, dict[int, float]] = defaultdict(dict)
        """To each client, and what an ack up to a number must be above to cover it."""
        self.in_flight: dict[int, tuple[str, float]] = {}
        self.attempts: dict[int, int] = defaultdict(int)
        self.failures: dict[int, int] = {}
        self.blocked: dict[int, float] = {}
        self.done: set[int] = set()
        self.acked: set[int] = set()
        """Done by an acknowledgement, whatever was forgotten since."""
        self.not_before: dict[str, float] = {}
        self.last_to_sole_client: int | None = 0
        """`None` once there were others, or something was taken back."""

    # What happens.

    @initialize(credit=st.integers(0, 5))
    def first_client(self, credit: int) -> None:
        self.join("c", credit)

    @rule(batch=st.lists(st.tuples(st.sampled_from(CHATS), st.booleans()), min_size=1, max_size=8))
    def commit(self, batch: list[tuple[str | None, bool]]) -> None:
        first = self.journal[-1].seq + 1 if self.journal else 1
        new = [
            Stored(first + n, "bot", "acme", "wanted" if wanted else "other", chat, 0.0, b"body")
            for n, (chat, wanted) in enumerate(batch)
        ]
        self.journal += new
        self.window.offer(new)
        self.step()

    @rule()
    def read(self) -> None:
        wanted = self.window.wants()
        if wanted is None:
            return
        later = [event for event in self.journal if event.seq > wanted.after_seq]
        page = later[: wanted.limit]
        self.window.add_page(Page(page, page[-1].seq), after_seq=wanted.after_seq)
        self.step()

    @rule(client=st.sampled_from(CLIENTS), credit=st.integers(0, 8))
    def join(self, client: str, credit: int) -> None:
        self.forget(client)
        if self.window.consumers not in ([], [client]):
            self.last_to_sole_client = None
        self.window.join(client, credit=credit)
        self.credit[client] = credit
        self.step()

    @rule(client=st.sampled_from(CLIENTS), has_crashed=st.booleans())
    def leave(self, client: str, *, has_crashed: bool) -> None:
        self.forget(client, has_crashed=has_crashed)
        self.window.leave(client, failed_at=self.now if has_crashed else None)
        self.step()

    @precondition(lambda self: self.credit)
    @rule(data=st.data(), n=st.integers(1, 8))
    def give_credit(self, data: st.DataObject, n: int) -> None:
        client = data.draw(st.sampled_from(sorted(self.credit)))
        self.credit[client] += n
        self.window.add_credit(client, n)
        self.step()

    @precondition(lambda self: self.credit)
    @rule(data=st.data())
    def ack_some(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from(sorted(self.credit)))
        seqs = data.draw(st.lists(st.integers(0, len(self.journal) + 2), max_size=4))
        refused = self.window.ack(client, seqs=seqs)
        for seq in seqs:
            if seq in self.sent_to[client]:
                assert seq not in refused
                self.acknowledge(seq)
            elif seq in self.attempts and seq not in self.done:
                assert seq in refused  # sent, but never to this one
        self.step()

    @precondition(lambda self: self.credit)
    @rule(data=st.data())
    def ack_up_to(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from(sorted(self.credit)))
        up_to = data.draw(st.integers(0, len(self.journal) + 2))
        assert self.window.ack(client, up_to=up_to) == []
        covered = [seq for seq, behind in self.sent_to[client].items() if seq <= up_to and behind < up_to]
        for seq in covered:
            self.acknowledge(seq)
        self.step()

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), delay_s=st.sampled_from([None, None, 0.0, 3.0, 99.0]))
    def nack(self, data: st.DataObject, delay_s: float | None) -> None:
        seq = data.draw(st.sampled_from(sorted(self.in_flight)))
        client = self.in_flight[seq][0]
        assert self.window.nack(client, seq=seq, delay_s=delay_s, now=self.now)
        for other in [n for n in self.in_flight if n >= seq and self.chat(n) == self.chat(seq)]:
            self.sent_to[client][other] = inf
        self.fail(seq, first_delay_s=0.5, asked_s=delay_s)
        self.step()

    @rule(seconds=st.sampled_from([0.5, 3.0, 11.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for seq, (_, sent_at) in list(self.in_flight.items()):
            if seq in self.in_flight and sent_at + LIMITS.ack_timeout_s <= self.now:
                self.fail(seq, first_delay_s=0.25)
        self.step()

    @precondition(lambda self: set(self.letters) - self.resumed_letters)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        seq = data.draw(st.sampled_from(sorted(set(self.letters) - self.resumed_letters)))
        self.resumed_letters.add(seq)
        self.resume_in_window(seq)
        self.step()

    @precondition(lambda self: self.resumed)
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        seq = data.draw(st.sampled_from(sorted(self.resumed)))
        self.window.discard(seq)
        self.acknowledge(seq)
        self.step()

    @rule()
    def save(self) -> None:
        for seq in self.window.take_resumed_done():
            del self.letters[seq]
            self.resumed_letters.discard(seq)
        assert self.resumed_letters == self.resumed
        self.letters |= {dead.event.seq: dead for dead in self.window.take_dead()}
        self.saved = self.window.take_progress() or self.saved
        assert {f.seq: f.failures for f in self.saved.failing} == self.failures
        assert {f.seq: f.attempt for f in self.saved.failing} == {
            seq: self.attempts[seq] for seq in self.failures
        }

    @rule()
    def restart(self) -> None:
        """The supervisor is killed: what was not saved is forgotten, and clients are gone."""
        self.window = Window(self.saved, head=len(self.journal), filters=FILTERS, limits=LIMITS)
        ranges = [(1, self.saved.low_water), *self.saved.done]
        done = {seq for first, last in ranges for seq in range(first, last + 1) if self.is_wanted(seq)}
        assert done <= self.acked | set(self.letters)  # on disk are acknowledgements and dead letters
        self.done = done - self.resumed_letters
        self.credit, self.in_flight = {}, {}
        self.sent_to.clear()
        self.attempts = defaultdict(int, {f.seq: f.attempt for f in self.saved.failing})
        self.failures = {f.seq: f.failures for f in self.saved.failing}
        self.blocked = {f.seq: f.blocked_s for f in self.saved.failing}
        self.not_before.clear()
        self.resumed.clear()
        self.last_to_sole_client = 0
        for seq in sorted(self.resumed_letters):
            self.resume_in_window(seq)

    # What must be so.

    def step(self) -> None:
        while sends := self.window.step(self.now, max_sends=3):
            assert sum(map(len, sends.values())) <= 3
            for client, entries in sends.items():
                for entry in entries:
                    self.check(str(client), entry)
        self.check_nothing_is_held_back()

    def check(self, client: str, entry: Entry) -> None:
        seq = entry.seq
        self.credit[client] -= 1
        assert self.credit[client] >= 0
        assert entry.event is self.journal[seq - 1]
        assert seq not in self.done
        assert seq not in self.in_flight
        assert self.is_wanted(seq)
        chat = self.chat(seq)
        if seq not in self.resumed:
            earlier = [n for n in range(1, seq) if self.chat(n) == chat and self.is_wanted(n)]
            assert all(n in self.done | self.in_flight.keys() | self.resumed for n in earlier)
            assert not [
                n for n in self.in_flight if n > seq and self.chat(n) == chat and n not in self.resumed
            ]
        assert {self.in_flight[n][0] for n in self.in_flight if self.chat(n) == chat} <= {client}
        assert not self.is_delayed(chat)
        if self.last_to_sole_client is not None:
            assert self.last_to_sole_client < seq
            self.last_to_sole_client = seq
        self.attempts[seq] += 1
        assert entry.attempt == self.attempts[seq]
        assert self.failures.get(seq, 0) < LIMITS.max_attempts
        self.in_flight[seq] = (client, self.now)
        highest = max(self.sent_to[client], default=0)
        self.sent_to[client][seq] = highest if highest > seq else 0

    def check_nothing_is_held_back(self) -> None:
        """After a step, what is held and could be sent is sent."""
        rich = {client for client, credit in self.credit.items() if credit}
        first: dict[str, int] = {}
        for seq in self.window._dispatch:
            if seq not in self.in_flight:
                first.setdefault(self.chat(seq), seq)
        for chat in first:
            owners = {self.in_flight[n][0] for n in self.in_flight if self.chat(n) == chat}
            assert self.is_delayed(chat) or not (rich & owners if owners else rich)

    @invariant()
    def books_are_bounded_and_agree(self) -> None:
        window, dispatch = self.window, self.window._dispatch
        assert window.held_events <= LIMITS.max_events + len(self.resumed)
        assert window.in_flight == len(self.in_flight)
        assert window.held_bytes == 4 * window.held_events
        assert window.low_water <= len(self.journal)
        finished = self.done | self.resumed
        assert all(seq in finished for seq in range(1, window.low_water + 1) if self.is_wanted(seq))
        for consumer in dispatch._consumers.values():
            mine = [seq for seq, (client, _) in self.in_flight.items() if client == consumer.id]
            assert [*consumer.in_flight, *dispatch._stream] == mine
            assert consumer.credit == self.credit[str(consumer.id)]
            assert len(consumer.ready) < 200
        assert len(dispatch._free) < 200
        assert len(dispatch._chats) <= len(CHATS)

    def teardown(self) -> None:
        """Let time pass and one client do its work: then all is delivered, in order, and nothing is left."""
        for client in list(self.credit):
            self.leave(client, has_crashed=False)
        self.now += 1_000.0
        self.join("c", credit=10**6)
        for _ in range(len(self.journal) + 2):
            self.read()
            for seq in list(self.in_flight):
                self.window.ack("c", seqs=[seq])
                self.acknowledge(seq)
            self.step()
        assert self.done >= {event.seq for event in self.journal if event.type == "wanted"}
        assert (self.window.low_water, self.window.held_events) == (len(self.journal), 0)
        assert not self.window._dispatch._chats
        assert not self.window._dispatch.failing
        self.save()
        assert self.acked | set(self.letters) >= self.done

    # The model's own books.

    def chat(self, seq: int) -> str:
        return self.journal[seq - 1].chat or f"alone {seq}"

    def is_wanted(self, seq: int) -> bool:
        return self.journal[seq - 1].type == "wanted"

    def is_delayed(self, chat: str) -> bool:
        return self.not_before.get(chat, 0.0) > self.now

    def acknowledge(self, seq: int) -> None:
        if seq not in self.done:
            self.acked.add(seq)
            self.finish(seq)

    def finish(self, seq: int) -> None:
        self.done.add(seq)
        self.resumed.discard(seq)
        self.in_flight.pop(seq, None)
        self.failures.pop(seq, None)
        self.blocked.pop(seq, None)
        chat = self.chat(seq)
        if all(n in self.done or self.chat(n) != chat for n in self.window._dispatch._held):
            self.not_before.pop(chat, None)  # a chat that is done takes its delay along

    def fail(
        self, seq: int, *, first_delay_s: float, asked_s: float | None = None, can_end: bool = True
    ) -> None:
        before = self.failures.get(seq, 0)
        blocked_s = self.blocked.get(seq, 0.0) + (self.now - self.in_flight[seq][1] if before else 0.0)
        self.take_back(seq)
        if can_end and (before + 1 >= LIMITS.max_attempts or blocked_s >= LIMITS.chat_block_max_s):
            self.finish(seq)
            return
        self.failures[seq] = before + 1 if can_end else min(before + 1, LIMITS.max_attempts - 1)
        delay_s = first_delay_s * 2.0 ** (self.failures[seq] - 1) if asked_s is None else asked_s
        if asked_s is None and first_delay_s < 0.5 and self.failures[seq] == 1:
            delay_s = 0.0  # only a nack waits the first time
        delay_s = max(0.0, min(delay_s, LIMITS.chat_block_max_s - blocked_s))
        self.blocked[seq] = blocked_s + delay_s
        chat = self.chat(seq)
        self.not_before[chat] = max(self.now + delay_s, self.not_before.get(chat, 0.0))

    def take_back(self, seq: int) -> None:
        chat = self.chat(seq)
        for later in [n for n in self.in_flight if n >= seq and self.chat(n) == chat]:
            del self.in_flight[later]
            self.last_to_sole_client = None

    def forget(self, client: str, *, has_crashed: bool = False) -> None:
        self.credit.pop(client, None)
        self.sent_to.pop(client, None)
        mine = [n for n, (owner, _) in self.in_flight.items() if owner == client]
        heads: dict[str, int] = {}
        for seq in sorted(mine):
            heads.setdefault(self.chat(seq), seq)
        for head in heads.values():
            if has_crashed:
                self.fail(head, first_delay_s=0.25, can_end=head == mine[0])
            else:
                self.take_back(head)

    def resume_in_window(self, seq: int) -> None:
        letter = self.letters[seq]
        self.window.resume(letter.event, attempt=letter.failing.attempt)
        self.take_back(seq)
        self.attempts[seq] = max(self.attempts[seq], letter.failing.attempt)
        self.done.discard(seq)
        self.resumed.add(seq)
        self.last_to_sole_client = None


TestDeliveryMachine = DeliveryMachine.TestCase
TestDeliveryMachine.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
