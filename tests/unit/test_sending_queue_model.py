"""The queue of one app's commands against a simple model, in any order of things that can happen to it.

The model keeps lists and looks through all of them each time. It checks that what may go goes and nothing
else; that the platform, which counts each request somewhere between its start and its answer, sees no limit
exceeded in any window; that nobody's turn is passed over; and that nothing is lost or said twice.
"""

from collections import defaultdict
from itertools import count
from math import inf

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from longwire.sending import Item, Queue, Saturated
from longwire.sending.rates import SLEW
from longwire_protocol.declaration import Rate, Rates

CLIENTS = ["a", "b", "c"]
CHATS = ["x", "y", "z"]
OWNERS = ["p", "q"]
MOST, MOST_IN_FLIGHT = 24, 2

limits = st.builds(Rate, st.integers(1, 5), st.sampled_from([1.0, 2.5, 8.0]))
waits = st.sampled_from([0.0, 0.25, 1.0, 4.0])


class QueueMachine(RuleBasedStateMachine):
    """Whatever clients, platform and clock can do to a queue."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.ids = count(1)
        self.waiting: list[Item] = []
        """In the order in which they were put; those in flight are here, too."""
        self.flying: dict[int, float] = {}
        """Since when."""
        self.retry_at: dict[int, float] = {}
        self.held_until: dict[str | None, float] = defaultdict(lambda: -inf)
        self.answers: list[tuple[str, float]] = []
        self.seen: list[tuple[str, float]] = []
        """By the platform: the chat, and when it counted the request."""
        self.put_ids: set[int] = set()
        self.gone: list[int] = []
        self.passed_over: dict[str, int] = {}
        self.paused: set[str] = set()

    @initialize(app=st.lists(limits, max_size=2), chat=st.lists(limits, max_size=2))
    def begin(self, app: list[Rate], chat: list[Rate]) -> None:
        self.rates = Rates(app=tuple(app), chat=tuple(chat))
        self.queue = Queue(self.rates, most=MOST, most_in_flight=MOST_IN_FLIGHT)

    # What happens.

    @rule(
        clients=st.lists(st.sampled_from(CLIENTS), min_size=1, max_size=6),
        chat=st.sampled_from(CHATS),
        ready_s=st.sampled_from([0.0, 0.0, 0.0, 2.0]),
        deadline_s=st.sampled_from([inf, inf, 0.0, 3.0, 20.0]),
        owner=st.sampled_from(OWNERS),
    )
    def put(self, clients: list[str], chat: str, ready_s: float, deadline_s: float, owner: str) -> None:
        for client in clients:
            item = Item(next(self.ids), client, chat, self.now + ready_s, self.now + deadline_s, owner)
            mine, room = self.held_by(client), MOST - len(self.alive())
            if mine >= room:
                with pytest.raises(Saturated) as refused:
                    self.queue.put(item, self.now)
                assert refused.value.retry_after_s > 0
                continue
            self.queue.put(item, self.now)
            self.waiting.append(item)
            self.put_ids.add(item.id)

    @rule(
        client=st.sampled_from(CLIENTS),
        chat=st.sampled_from(CHATS),
        ready_s=st.sampled_from([0.0, 0.0, 2.0]),
        deadline_s=st.sampled_from([inf, 0.0, 3.0]),
        owner=st.sampled_from(OWNERS),
    )
    def go(self, client: str, chat: str, ready_s: float, deadline_s: float, owner: str) -> None:
        """What finds nobody else here goes as if it were put and taken, or changes nothing."""
        item = Item(next(self.ids), client, chat, self.now + ready_s, self.now + deadline_s, owner)
        self.drop_overdue_rights()
        is_alone = not self.alive()
        self.waiting.append(item)
        may = is_alone and self.may_go() == [item]
        assert self.queue.go(item, self.now) == may
        if may:
            self.put_ids.add(item.id)
            self.flying[item.id] = self.now
        else:
            self.waiting.remove(item)

    @rule(at_most=st.integers(1, 4))
    def take(self, at_most: int) -> None:
        for _ in range(at_most):
            self.take_one()

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), again_s=st.sampled_from([None, None, None, 0.0, 3.0]), moment=st.floats(0, 1))
    def done(self, data: st.DataObject, again_s: float | None, moment: float) -> None:
        item_id = data.draw(st.sampled_from(sorted(self.flying)))
        self.answer(item_id, again_at=None if again_s is None else self.now + again_s, moment=moment)

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        item_id = data.draw(st.sampled_from(sorted(self.flying)))
        self.queue.withdraw(item_id, self.now)
        del self.flying[item_id]
        self.forget(next(item for item in self.waiting if item.id == item_id))

    @rule(seconds=waits)
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def wait_as_told(self) -> None:
        """It is told neither too early nor too late."""
        at = self.queue.next_at(self.now)
        assert (inf if at is None else at) == max(self.now, self.something_at())
        self.now = self.now if at is None else at

    @rule()
    def expire(self) -> None:
        expected = [item for item in self.waiting if self.is_overdue(item)]
        found = self.queue.expired(self.now)
        assert sorted(found, key=lambda item: item.id) == expected
        for item in expected:
            self.forget(item)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from(self.waiting))
        assert self.queue.remove(item.id) == (item.id not in self.flying)
        if item.id not in self.flying:
            self.forget(item)

    @rule(seconds=waits, chat=st.sampled_from([None, *CHATS]))
    def hold(self, seconds: float, chat: str | None) -> None:
        self.queue.hold(self.now + seconds, chat)
        self.held_until[chat] = max(self.held_until[chat], self.now + seconds)
        self.passed_over.clear()

    @rule(owner=st.sampled_from(OWNERS))
    def pause_or_resume(self, owner: str) -> None:
        (self.queue.resume if owner in self.paused else self.queue.pause)(owner)
        self.paused ^= {owner}
        self.passed_over.clear()

    @rule(chat=st.sampled_from(CHATS))
    def restart(self, chat: str) -> None:
        """The supervisor is killed: what was accepted is put again, what was sent is counted."""
        for item_id in list(self.flying):
            self.answer(item_id, again_at=self.now, moment=1.0)
        self.answers.append((chat, self.now))  # of what somebody asked for directly
        overdue = [item for item in self.waiting if self.is_overdue(item)]
        for item in overdue:
            self.forget(item)
        self.retry_at.clear()
        self.held_until.clear()
        self.passed_over.clear()
        self.paused.clear()
        self.queue = Queue(self.rates, most=MOST, most_in_flight=MOST_IN_FLIGHT)
        for where, at in self.answers:
            self.queue.count(where, at)
        for item in self.waiting:
            self.queue.restore(item)

    @invariant()
    def it_knows_whose_items_wait(self) -> None:
        self.queue.next_at(self.now)
        mine = {owner: [item.id for item in self.alive() if item.owner == owner] for owner in OWNERS}
        assert set(self.queue.owners) == {owner for owner in OWNERS if mine[owner]}
        for owner, ids in mine.items():
            flying = len(self.flying.keys() & set(ids))
            assert self.queue.count_of(owner) == (len(ids) - flying, flying)

    @invariant()
    def the_platform_sees_no_limit_exceeded(self) -> None:
        if not self.seen:
            return
        for rate in self.rates.app:
            self.assert_within(rate, [at for _, at in self.seen])
        for rate in self.rates.chat:
            for chat in CHATS:
                self.assert_within(rate, [at for where, at in self.seen if where == chat])

    def teardown(self) -> None:
        """Everything comes to its end, and each once."""
        for item_id in list(self.flying):
            self.answer(item_id, again_at=None, moment=0.5)
        for owner in list(self.paused):
            self.pause_or_resume(owner)
        while (at := self.queue.next_at(self.now)) is not None:
            self.now = at
            self.expire()
            while (item := self.take_one()) is not None:
                self.answer(item.id, again_at=None, moment=0.0)
        self.the_platform_sees_no_limit_exceeded()
        assert (len(self.queue), self.waiting) == (0, [])
        assert sorted(self.gone) == sorted(self.put_ids)
        self.now += 1_000
        assert self.queue.is_rested(self.now)
        assert (self.queue._chats, self.queue._paces) == ({}, {})

    # What the model knows.

    def take_one(self) -> Item | None:
        self.drop_overdue_rights()
        may = self.may_go()
        item = self.queue.take(self.now)
        if item is None:
            assert not may
            return None
        assert item in may
        self.flying[item.id] = self.now
        self.note_turn(item, may)
        return item

    def note_turn(self, taken: Item, may: list[Item]) -> None:
        """Whose chat could have gone is passed over by each other client once at most."""
        for client in CLIENTS:
            chats = {line(item) for item in self.alive() if item.client == client}
            if line(taken) in chats or not chats & {line(item) for item in may}:
                self.passed_over.pop(client, None)
            else:
                self.passed_over[client] = self.passed_over.get(client, 0) + 1
                assert self.passed_over[client] < len(CLIENTS)

    def answer(self, item_id: int, *, again_at: float | None, moment: float) -> None:
        item = next(item for item in self.waiting if item.id == item_id)
        since = self.flying.pop(item_id)
        self.queue.done(item_id, self.now, again_at)
        self.seen.append((item.chat, since + moment * (self.now - since)))
        self.answers.append((item.chat, self.now))
        if again_at is None:
            self.forget(item)
        else:
            self.retry_at[item_id] = again_at

    def forget(self, item: Item) -> None:
        self.waiting.remove(item)
        self.gone.append(item.id)
        self.passed_over.clear()

    def drop_overdue_rights(self) -> None:
        if any(self.is_overdue(item) for item in self.waiting):
            self.passed_over.clear()

    def is_overdue(self, item: Item) -> bool:
        return item.id not in self.flying and item.deadline_at <= self.now

    def alive(self) -> list[Item]:
        return [item for item in self.waiting if not self.is_overdue(item)]

    def held_by(self, client: str) -> int:
        return sum(item.client == client for item in self.alive())

    def heads(self) -> list[Item]:
        """Return the first of each owner's chat with nothing in flight, if it can carry out anything."""
        first: dict[tuple[object, str], Item] = {}
        for item in self.alive():
            if item.owner not in self.paused:
                first.setdefault(line(item), item)
        return [item for item in first.values() if item.id not in self.flying]

    def may_go(self) -> list[Item]:
        return [item for item in self.heads() if self.goes_at(item) <= self.now]

    def goes_at(self, item: Item) -> float:
        if len(self.flying) >= MOST_IN_FLIGHT:
            return inf
        flying = [other.chat for other in self.waiting if other.id in self.flying]
        app = (self.free_at(rate, len(flying), [at for _, at in self.answers]) for rate in self.rates.app)
        here = [at for chat, at in self.answers if chat == item.chat]
        chat = (self.free_at(rate, flying.count(item.chat), here) for rate in self.rates.chat)
        holds = (self.held_until[None], self.held_until[item.chat], self.retry_at.get(item.id, -inf))
        return max(item.ready_at, *holds, *app, *chat)

    def free_at(self, rate: Rate, flying: int, answers: list[float]) -> float:
        """Return when there are fewer than `most` in flight or answered within the window."""
        ends = sorted([at + rate.within_s * SLEW for at in answers] + [inf] * flying, reverse=True)
        return ends[rate.most - 1] if len(ends) >= rate.most else -inf

    def something_at(self) -> float:
        deadlines = [item.deadline_at for item in self.waiting if item.id not in self.flying]
        return min([*deadlines, *(self.goes_at(item) for item in self.heads())], default=inf)

    def assert_within(self, rate: Rate, times: list[float]) -> None:
        times = sorted(times)
        for first, one_too_many in zip(times, times[rate.most :], strict=False):
            assert one_too_many - first > rate.within_s


def line(item: Item) -> tuple[object, str]:
    """Return among what it keeps its place."""
    return item.owner, item.chat


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
