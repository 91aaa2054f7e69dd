"""The journal and its subscriptions against a model, whatever happens to them and in whatever order.

Real: the file, the journal with its two threads, the deliveries, and each window. Clients keep books instead
of sockets; threads take turns and time passes as the machine says, so that an example is the same each time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from time import monotonic

import pytest
import structlog
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from chaos.promise import Wish
from chaos.world import ROOM_BYTES, Arrival, Opened, World
from longwire.journal import JournalSaturated

EXAMPLES = 100
SOAK_EXAMPLES = int(os.environ.get("LONGWIRE_EXAMPLES", "2000"))
STEPS = 50
SEED = int(os.environ.get("LONGWIRE_SEED", "1"))

ACCOUNTS = {"lark": "acme", "ding": "acme", "beta": "globex"}
TYPES = ["message.created", "card.action"]
WISHES = [Wish(), Wish(types=("message.created",)), Wish(accounts=("lark", "beta")), Wish(tenant="acme")]

Batch = list[Arrival]
Groups = list[tuple[str, Batch]]

accounts = st.sampled_from(sorted(ACCOUNTS))
ages = st.none() | st.just(0) | st.integers(0, 30)
batches = st.lists(
    st.tuples(st.sampled_from(TYPES), st.sampled_from(["c", "d", None]), ages), min_size=1, max_size=6
)
several = st.lists(st.tuples(accounts, batches), min_size=2, max_size=4)
slots = st.integers(0, 3)
names = st.sampled_from(["a", "a", "b", None])
wishes = st.sampled_from(WISHES)
starts = st.sampled_from(["all", "new"]) | st.integers(1, 60)
paces = st.sampled_from(["settle", "settle", "loop", "still"])


class JournalMachine(RuleBasedStateMachine):
    """Whatever platforms, clients, disks, clocks and crashes can do."""

    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @initialize(start=starts, credit=st.integers(0, 20))
    def somebody_subscribes(self, start: str | int, credit: int) -> None:
        self.world.subscribe(0, "a", Wish(), start=start, credit=credit)
        self.world.life.loop.settle()

    def go(self, pace: str) -> None:
        """Let everybody do what there is to do now, or the loop alone, or nobody."""
        if pace == "settle":
            self.world.life.loop.settle()
        elif pace == "loop":
            self.world.life.loop.run_ready()

    # Platforms.

    @rule(account=accounts, batch=batches, pace=paces)
    def append(self, account: str, batch: Batch, pace: str) -> None:
        if self.world.life.journal.is_full:
            with pytest.raises(JournalSaturated):
                self.world.append(account, ACCOUNTS[account], batch)
        else:
            self.world.append(account, ACCOUNTS[account], batch)
        self.go(pace)

    @rule(groups=several, pace=paces)
    def append_several(self, groups: Groups, pace: str) -> None:
        for account, batch in groups:
            self.append(account, batch, "still")
        self.go(pace)

    # Clients.

    @rule(slot=slots, name=names, wish=wishes, start=starts, credit=st.integers(0, 20), pace=paces)
    def subscribe(
        self, slot: int, name: str | None, wish: Wish, start: str | int, credit: int, pace: str
    ) -> None:
        known = self.world.promises.get(name or "")
        if known is not None and slot != 3:  # the client of the last slot is the one who errs
            wish = known.wish
        self.world.subscribe(slot, name, wish, start=start, credit=credit)
        self.go(pace)

    @precondition(lambda self: self.world.opened)
    @rule(data=st.data(), pace=paces)
    def ack(self, data: st.DataObject, pace: str) -> None:
        opened = self.one_opened(data)
        seqs = data.draw(st.lists(self.seqs(opened), min_size=1, max_size=8))
        self.world.ack(opened, seqs=seqs, up_to=None)
        self.go(pace)

    @precondition(lambda self: self.world.opened)
    @rule(data=st.data(), pace=paces)
    def ack_up_to(self, data: st.DataObject, pace: str) -> None:
        opened = self.one_opened(data)
        self.world.ack(opened, seqs=[], up_to=data.draw(self.seqs(opened)))
        self.go(pace)

    @precondition(lambda self: self.world.opened)
    @rule(data=st.data(), delay_s=st.sampled_from([0.0, 3.0, 40.0]), pace=paces)
    def nack(self, data: st.DataObject, delay_s: float, pace: str) -> None:
        opened = self.one_opened(data)
        waiting = sorted(self.world.promises[opened.name].in_flight)
        seq = data.draw(st.sampled_from(waiting) if waiting else self.seqs(opened))
        self.world.nack(opened, seq, delay_s=delay_s)
        self.go(pace)

    @precondition(lambda self: self.world.opened)
    @rule(data=st.data(), n=st.integers(1, 20), pace=paces)
    def give_credit(self, data: st.DataObject, n: int, pace: str) -> None:
        self.world.give_credit(self.one_opened(data), n)
        self.go(pace)

    @precondition(lambda self: self.world.opened)
    @rule(data=st.data(), how=st.sampled_from(["unsubscribe", "vanish", "vanish later"]), pace=paces)
    def leave(self, data: st.DataObject, how: str, pace: str) -> None:
        opened = self.one_opened(data)
        if how == "unsubscribe":
            self.world.unsubscribe(opened)
        elif how == "vanish":
            self.world.gone(opened.client)
        else:
            opened.client.frames_left = data.draw(st.integers(0, 4))
        self.go(pace)

    @rule(
        back=st.integers(0, 40),
        limit=st.integers(1, 9),
        max_bytes=st.sampled_from([0, 20, 10**6]),
        pace=paces,
    )
    def read(self, back: int, limit: int, max_bytes: int, pace: str) -> None:
        after_seq = max(0, self.world.ledger.head - back)
        self.world.read(after_seq=after_seq, limit=limit, max_bytes=max_bytes)
        self.go(pace)

    # States.

    @rule(how=st.sampled_from(["put", "save", "incarnation"]), key=st.sampled_from(["x", "y"]), pace=paces)
    def write_a_state(self, how: str, key: str, pace: str) -> None:
        if how == "put":
            self.world.put_note(key)
        elif how == "save":
            self.world.save_note(key)
        else:
            self.world.next_incarnation(key)
        self.go(pace)

    # Threads, disk, time.

    @rule(n=st.integers(0, 1))
    def let_one_thread_run(self, n: int) -> None:
        ready = self.world.strands.ready
        if ready:
            ready[n % len(ready)].run()

    @rule(
        how=st.sampled_from(["lock", "hold", "full", "fill", "fill new log"]),
        more=st.integers(0, 20_000),
        groups=several,
        pace=paces,
    )
    def upset_the_disk(self, how: str, more: int, groups: Groups, pace: str) -> None:
        """Another process locks it, or the next write takes long, or it is full: at once or behind a byte."""
        if how == "lock":
            self.world.lock()
        elif how == "hold":
            self.world.disk.is_held = True
        elif how == "full":
            self.world.disk.is_full = True
        else:
            self.world.fill(more, is_log_new=how == "fill new log")
        self.append_several(groups, pace)

    @precondition(lambda self: not self.world.is_healthy)
    @rule(pace=paces)
    def heal_the_disk(self, pace: str) -> None:
        self.world.heal()
        self.go(pace)

    @rule(seconds=st.sampled_from([0.06, 0.2, 4.0, 31.0, 101.0]), is_awake=st.booleans(), pace=paces)
    def wait(self, seconds: float, is_awake: bool, pace: str) -> None:  # noqa: FBT001
        if is_awake:
            self.world.life.loop.advance(seconds)
        else:
            self.world.clock.now += seconds
        self.go(pace)

    @rule(
        max_bytes=st.sampled_from([ROOM_BYTES, ROOM_BYTES, 800, 3000]),
        max_age_s=st.sampled_from([1.0, 1.0, 20.0, 1e9]),
        seconds=st.sampled_from([0.0, 1.5]),
        pace=paces,
    )
    def tend(self, max_bytes: int, max_age_s: float, seconds: float, pace: str) -> None:
        self.world.life.loop.advance(seconds)
        self.world.tend(max_bytes=max_bytes, max_age_s=max_age_s)
        self.go(pace)

    # Ends.

    @rule(writes=st.integers(0, 3), seconds=st.sampled_from([0.0, 0.2]), data=st.data())
    def crash(self, writes: int, seconds: float, data: st.DataObject) -> None:
        """In the middle of a write, if so many are to come, or at rest; the clients come again or do not."""
        if writes:
            self.world.disk.stop_in = writes - 1
            self.append_several(data.draw(st.lists(st.tuples(accounts, batches), max_size=3)), "settle")
            self.world.life.loop.advance(seconds)
        back = [(opened.slot, opened.name) for opened in self.world.opened]
        self.world.crash(lambda low, high: data.draw(st.integers(low, high)))
        credit = data.draw(st.integers(-5, 20))
        for slot, name in back:
            if credit >= 0 and name in self.world.promises:
                wish = self.world.promises[name].wish
                self.world.subscribe(slot, name, wish, start="new", credit=credit)
        self.world.life.loop.settle()

    @rule(how=st.sampled_from(["quiet", "quiet", "restart", "drain", "empty"]))
    def rest(self, how: str) -> None:
        if how == "quiet":
            self.world.quiet()
        elif how == "restart":
            self.world.restart()
        else:
            self.world.drain()
        if how == "empty":
            self.world.tend(max_bytes=ROOM_BYTES, max_age_s=0.0)
            self.world.quiet()

    @invariant()
    def nothing_is_amiss(self) -> None:
        type(self).steps += 1
        self.world.check()

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.world.drain()
                self.world.restart()
        finally:
            self.world.end()

    # What to choose from.

    def one_opened(self, data: st.DataObject) -> Opened:
        """One of the clients with a subscription."""
        opened = self.world.opened
        return opened[data.draw(st.integers(0, len(opened) - 1))]

    def seqs(self, opened: Opened) -> st.SearchStrategy[int]:
        """A number that was sent there, or, rarely, any."""
        sent = sorted(self.world.promises[opened.name].sent_to[opened.client.id])
        return st.integers(0, 9).flatmap(
            lambda n: st.sampled_from(sent) if sent and n else st.integers(1, 80)
        )


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


@pytest.mark.timeout(900)
def test_journal_and_subscriptions_do_what_their_model_says() -> None:
    run_state_machine_as_test(
        JournalMachine, settings=settings(max_examples=EXAMPLES, stateful_step_count=STEPS)
    )


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_they_do_so_over_thousands_of_examples(show: Callable[[str], None]) -> None:
    class Soak(JournalMachine):
        examples = 0

        def __init__(self) -> None:
            super().__init__()
            Soak.examples += 1

    show(f"LONGWIRE_SEED={SEED}")
    begun = monotonic()
    wanted = settings(max_examples=SOAK_EXAMPLES, stateful_step_count=STEPS, derandomize=False, database=None)
    run_state_machine_as_test(seed(SEED)(Soak), settings=wanted)
    show(f"{Soak.examples} examples, {Soak.steps} steps, {monotonic() - begun:.0f} s")
