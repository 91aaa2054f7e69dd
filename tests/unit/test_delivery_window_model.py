"""The delivery window against a simple model, in any order of things that can happen to it.

The model knows the journal, what was acknowledged, and what is in flight where; it checks every send
against the rules, and at the end of each run that everything is delivered and acknowledged in order.
"""

from collections import defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from longwire.delivery import Filters, Progress, Send, Window, WindowLimits
from longwire.journal import Page, Stored

LIMITS = WindowLimits(max_events=12, page_events=5, ack_timeout_s=10.0)
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
        self.credit: dict[str, int] = {}
        self.sent_to: dict[str, set[int]] = defaultdict(set)
        self.in_flight: dict[int, tuple[str, float]] = {}
        self.attempts: dict[int, int] = defaultdict(int)
        self.done: set[int] = set()
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

    @rule(client=st.sampled_from(CLIENTS))
    def leave(self, client: str) -> None:
        self.forget(client)
        self.window.leave(client)
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
                self.finish(seq)
            elif seq in self.attempts and seq not in self.done:
                assert seq in refused  # sent, but never to this one
        self.step()

    @precondition(lambda self: self.credit)
    @rule(data=st.data())
    def ack_up_to(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from(sorted(self.credit)))
        up_to = data.draw(st.integers(0, len(self.journal) + 2))
        assert self.window.ack(client, up_to=up_to) == []
        for seq in [seq for seq in self.sent_to[client] if seq <= up_to]:
            self.finish(seq)
        self.step()

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), delay_s=st.sampled_from([0.0, 0.0, 3.0]))
    def nack(self, data: st.DataObject, delay_s: float) -> None:
        seq = data.draw(st.sampled_from(sorted(self.in_flight)))
        client = self.in_flight[seq][0]
        assert self.window.nack(client, seq=seq, delay_s=delay_s, now=self.now)
        self.take_back(seq)
        chat = self.chat(seq)
        self.not_before[chat] = max(self.now + delay_s, self.not_before.get(chat, 0.0))
        self.step()

    @rule(seconds=st.sampled_from([0.5, 3.0, 11.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for seq, (_, deadline) in sorted(self.in_flight.items()):
            if seq in self.in_flight and deadline <= self.now:
                self.take_back(seq)
        self.step()

    @rule()
    def save(self) -> None:
        self.saved = self.window.take_progress() or self.saved

    @rule()
    def restart(self) -> None:
        """The supervisor is killed: what was not saved is forgotten, and clients are gone."""
        self.window = Window(self.saved, head=len(self.journal), filters=FILTERS, limits=LIMITS)
        ranges = [(1, self.saved.low_water), *self.saved.done]
        self.done = {seq for first, last in ranges for seq in range(first, last + 1)} & self.done
        self.credit, self.in_flight = {}, {}
        self.sent_to.clear()
        self.attempts.clear()
        self.not_before.clear()
        self.last_to_sole_client = 0

    # What must be so.

    def step(self) -> None:
        while sends := self.window.step(self.now, max_sends=3):
            assert len(sends) <= 3
            for send in sends:
                self.check(send)
        self.check_nothing_is_held_back()

    def check(self, send: Send) -> None:
        client, seq, chat = str(send.consumer), send.seq, self.chat(send.seq)
        self.credit[client] -= 1
        assert self.credit[client] >= 0
        assert seq not in self.done
        assert seq not in self.in_flight
        assert self.journal[seq - 1].type == "wanted"
        earlier = [event.seq for event in self.journal[: seq - 1] if self.chat(event.seq) == chat]
        assert all(n in self.done or n in self.in_flight for n in earlier if self.is_wanted(n))
        assert not [n for n in self.in_flight if n > seq and self.chat(n) == chat]
        assert {self.in_flight[n][0] for n in self.in_flight if self.chat(n) == chat} <= {client}
        assert not self.is_delayed(chat)
        if self.last_to_sole_client is not None:
            assert self.last_to_sole_client < seq
            self.last_to_sole_client = seq
        self.attempts[seq] += 1
        assert send.attempt == self.attempts[seq]
        self.in_flight[seq] = (client, self.now + LIMITS.ack_timeout_s)
        self.sent_to[client].add(seq)

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
        assert window.held_events <= LIMITS.max_events
        assert set(dispatch._in_flight) == set(self.in_flight)
        assert window.held_bytes == 4 * window.held_events
        assert window.low_water <= len(self.journal)
        assert all(seq in self.done for seq in range(1, window.low_water + 1) if self.is_wanted(seq))
        for consumer in dispatch._consumers.values():
            mine = [seq for seq, (client, _) in self.in_flight.items() if client == consumer.id]
            assert consumer.in_flight == len(mine)
            assert consumer.credit == self.credit[str(consumer.id)]
            assert len(consumer.ready) < 200
        assert len(dispatch._free) < 200
        assert len(dispatch._chats) <= len(CHATS)

    def teardown(self) -> None:
        """Let time pass and one client do its work: then all is delivered, in order, and nothing is left."""
        for client in list(self.credit):
            self.leave(client)
        self.now += 1_000.0
        self.join("c", credit=10**6)
        for _ in range(len(self.journal) + 2):
            self.read()
            for seq in list(self.in_flight):
                self.window.ack("c", seqs=[seq])
                self.finish(seq)
            self.step()
        assert self.done >= {event.seq for event in self.journal if event.type == "wanted"}
        assert (self.window.low_water, self.window.held_events) == (len(self.journal), 0)
        assert not self.window._dispatch._chats

    # The model's own books.

    def chat(self, seq: int) -> str:
        return self.journal[seq - 1].chat or f"alone {seq}"

    def is_wanted(self, seq: int) -> bool:
        return self.journal[seq - 1].type == "wanted"

    def is_delayed(self, chat: str) -> bool:
        return self.not_before.get(chat, 0.0) > self.now

    def finish(self, seq: int) -> None:
        self.done.add(seq)
        self.in_flight.pop(seq, None)
        chat = self.chat(seq)
        if all(n in self.done or self.chat(n) != chat for n in self.window._dispatch):
            self.not_before.pop(chat, None)  # a chat that is done takes its delay along

    def take_back(self, seq: int) -> None:
        chat = self.chat(seq)
        for later in [n for n in self.in_flight if n >= seq and self.chat(n) == chat]:
            del self.in_flight[later]
            self.last_to_sole_client = None

    def forget(self, client: str) -> None:
        self.credit.pop(client, None)
        self.sent_to.pop(client, None)
        for seq in [n for n, (owner, _) in self.in_flight.items() if owner == client]:
            del self.in_flight[seq]
            self.last_to_sole_client = None


TestDeliveryMachine = DeliveryMachine.TestCase
TestDeliveryMachine.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
