"""The queue of one app's commands: order in a chat, turns of clients, shares of room, holds, deadlines."""

from collections import Counter
from collections.abc import Iterable
from itertools import count
from math import inf

import pytest

from longwire.sending import Item, Queue, Saturated
from longwire.sending.rates import SLEW
from longwire_protocol.declaration import Rate, Rates

LARK = Rates(app=(Rate(50, 1.0), Rate(1000, 60.0)), chat=(Rate(5, 1.0),))
_ids = count(1)


def queue(rates: Rates | None = None, *, most: int = 10_000, most_in_flight: int = 64) -> Queue:
    return Queue(rates or Rates(), most=most, most_in_flight=most_in_flight)


def item(client: str = "bot", chat: str = "c", *, ready_at: float = 0.0, deadline_at: float = inf) -> Item:
    return Item(next(_ids), client, chat, ready_at, deadline_at)


def put(it: Queue, *items: Item, now: float = 0.0) -> None:
    for each in items:
        it.put(each, now)


def run(it: Queue, now: float, *, latency_s: float = 0.0) -> list[Item]:
    """Carry out one after the other what may go now."""
    gone = []
    while (each := it.take(now)) is not None:
        gone.append(each)
        it.done(each.id, now + latency_s)
    return gone


def drain(it: Queue, now: float = 0.0, *, until: float = inf) -> list[tuple[float, Item]]:
    """Carry out everything up to a time, each as early as it may go."""
    gone = []
    while (at := it.next_at(now)) is not None and at <= until:
        now = at
        step = run(it, now)
        assert step, "woken for nothing"
        gone += [(now, each) for each in step]
    return gone


# Order in a chat.


def test_a_chat_goes_in_order_and_one_at_a_time() -> None:
    it = queue()
    first, second = item(), item("other")
    put(it, first, second)
    assert it.take(0.0) == first
    assert it.take(0.0) is None
    it.done(first.id, 1.0)
    assert it.take(1.0) == second


def test_what_is_to_go_again_stays_first_in_its_chat() -> None:
    it = queue()
    first, second = item(), item()
    put(it, first, second)
    it.take(0.0)
    it.done(first.id, 1.0, again_at=5.0)
    assert (it.take(4.9), it.next_at(4.9), it.in_flight) == (None, 5.0, 0)
    assert it.take(5.0) == first


def test_the_next_in_a_chat_does_not_wait_for_the_repetition_of_one_that_is_gone() -> None:
    it = queue()
    first, second = item(), item()
    put(it, first, second)
    it.take(0.0)
    it.done(first.id, 1.0, again_at=500.0)
    assert it.remove(first.id)
    assert it.take(1.0) == second


def test_what_is_not_ready_holds_up_its_chat_and_no_other() -> None:
    it = queue()
    later, behind, elsewhere = item(ready_at=9.0), item(), item(chat="d")
    put(it, later, behind, elsewhere)
    assert run(it, 0.0) == [elsewhere]
    assert it.next_at(0.0) == 9.0
    assert run(it, 9.0) == [later, behind]


# Turns.


def test_one_with_10000_queued_delays_nobody_beyond_its_turn() -> None:
    it = queue(most=30_000)
    put(it, *(item("flood", f"c{n % 500}") for n in range(10_000)))
    other = item("other", "d")
    put(it, other)
    assert other in [it.take(0.0), it.take(0.0)]


def test_clients_that_send_as_fast_as_they_can_get_the_same_share() -> None:
    it = queue(LARK)
    clients = [f"bot{n}" for n in range(20)]
    put(it, *(item(client, f"{client}-{n % (k + 1)}") for k, client in enumerate(clients) for n in range(80)))
    gone = drain(it, until=30.0)
    shares = Counter(each.client for _, each in gone)
    assert len(gone) == 1000
    assert max(shares.values()) - min(shares.values()) <= 1


@pytest.mark.parametrize("ready_at", [0.0, 1.0])
def test_who_answers_in_a_chat_does_not_wait_for_another_ones_broadcast(ready_at: float) -> None:
    it = queue(most=30_000)
    broadcast = [item("news", f"c{n}", ready_at=ready_at) for n in range(1_000)]
    put(it, *broadcast)
    answer = item("bot", "c999")
    put(it, answer)
    gone = run(it, ready_at)
    assert gone.index(broadcast[999]) < gone.index(answer) <= 4


def test_chats_of_one_client_take_turns() -> None:
    it = queue()
    put(it, *(item(chat="long") for _ in range(5)), item(chat="a"), item(chat="b"))
    assert [each.chat for each in run(it, 0.0)][:3] == ["long", "a", "b"]


def test_a_client_whose_last_item_was_removed_has_no_turn() -> None:
    it = queue()
    mine, other, third = item("a"), item("b"), item("c", "d")
    put(it, mine, other, third)
    assert (it.next_at(0.0), it.remove(other.id)) == (0.0, True)
    assert run(it, 0.0) == [mine, third]


def test_a_client_keeps_its_turn_while_another_item_of_it_waits_in_the_chat() -> None:
    it = queue()
    items = [item("a"), item("b"), item("b")]
    put(it, *items)
    assert it.next_at(0.0) == 0.0
    assert it.remove(items[2].id)
    assert run(it, 0.0) == items[:2]


# Limits.


def test_a_chat_gets_no_more_than_its_limit_and_leaves_the_rest_to_others() -> None:
    it = queue(LARK)
    put(it, *(item(chat="busy") for _ in range(20)), item(chat="quiet"))
    assert Counter(each.chat for each in run(it, 0.0)) == {"busy": 5, "quiet": 1}
    assert it.next_at(0.0) == SLEW


def test_an_app_gets_no_more_than_its_limits() -> None:
    it = queue(LARK)
    put(it, *(item(chat=f"c{n % 100}") for n in range(2_000)))
    gone = [at for at, _ in drain(it)]
    assert len(gone) == 2_000
    for rate in LARK.app:
        assert all(late - early > rate.within_s for early, late in zip(gone, gone[rate.most :], strict=False))
    assert gone[-1] < 100


def test_no_more_are_in_flight_than_may_be() -> None:
    it = queue(most_in_flight=3)
    put(it, *(item(chat=f"c{n}") for n in range(5)))
    taken = list(iter(lambda: it.take(0.0), None))
    assert (len(taken), it.in_flight, it.next_at(0.0)) == (3, 3, None)
    it.done(taken[0].id, 1.0)
    assert it.next_at(1.0) == 1.0
    assert it.take(1.0) is not None


def test_while_all_tokens_are_out_only_an_answer_helps() -> None:
    it = queue(Rates(app=(Rate(1, 1.0),)))
    first = item(chat="a")
    put(it, first, item(chat="b"))
    assert it.take(0.0) == first
    assert it.next_at(0.0) is None
    it.done(first.id, 3.0)
    assert it.next_at(3.0) == 3.0 + SLEW


def test_what_an_earlier_process_sent_counts() -> None:
    it = queue(LARK)
    for n in range(5):
        it.count("c", 99.0 + n / 10)
    waiting = item()
    it.restore(waiting)
    assert it.next_at(100.0) == 99.0 + SLEW
    assert it.take(99.0 + SLEW) == waiting


def test_what_an_earlier_process_sent_elsewhere_counts_for_the_app() -> None:
    it = queue(Rates(app=(Rate(2, 1.0),)))
    it.count("c", 99.0)
    it.count("d", 99.5)
    put(it, item(chat="e"), now=100.0)
    assert it.next_at(100.0) == 99.0 + SLEW


def test_chats_that_are_quiet_again_are_forgotten() -> None:
    it = queue(Rates(chat=(Rate(5, 1.0),)))
    for n in range(1_000):
        put(it, item(chat=f"c{n}"))
        run(it, n / 10)
    assert len(it._chats) <= 11


# What the platform says.


def test_a_hold_of_the_app_stops_everything_until_it_is_over() -> None:
    it = queue()
    put(it, item())
    it.hold(7.0)
    it.hold(3.0)
    assert (it.goes_at(), it.take(6.9), it.next_at(1.0)) == (7.0, None, 7.0)
    assert it.take(7.0) is not None


def test_a_hold_of_a_chat_stops_that_chat_only() -> None:
    it = queue()
    held, free = item(chat="held"), item(chat="free")
    put(it, held, free)
    assert it.next_at(0.0) == 0.0
    it.hold(7.0, "held")
    it.hold(3.0, "held")
    assert run(it, 6.9) == [free]
    assert run(it, 7.0) == [held]


def test_a_hold_outlives_the_items_of_its_chat_and_is_forgotten_when_it_is_over() -> None:
    it = queue()
    it.hold(7.0, "c")
    put(it, item(), now=6.0)
    assert it.take(6.0) is None
    assert run(it, 7.0)
    assert (it.next_at(8.0), it._chats) == (None, {})


# Deadlines and removal.


def test_what_is_past_its_deadline_comes_out_once_and_never_goes() -> None:
    it = queue()
    late, earlier, fine = item(deadline_at=5.0), item(deadline_at=4.0), item(deadline_at=9.0)
    it.hold(6.0)
    put(it, late, earlier, fine)
    assert (it.expired(3.9), it.next_at(0.0)) == ([], 4.0)
    assert it.take(6.0) == fine
    assert it.next_at(6.0) == 6.0
    assert (it.expired(6.0), it.expired(6.0), len(it)) == ([earlier, late], [], 1)


def test_a_deadline_counts_also_for_what_waits_to_go_again() -> None:
    it = queue()
    first, second = item(deadline_at=5.0), item()
    put(it, first, second)
    it.take(0.0)
    assert it.expired(6.0) == []
    it.done(first.id, 6.0, again_at=7.0)
    assert it.expired(6.0) == [first]
    assert it.take(6.0) == second


def test_only_what_waits_can_be_removed() -> None:
    it = queue()
    flying, waiting, overdue = item(), item(), item(chat="d", ready_at=9.0, deadline_at=1.0)
    put(it, flying, waiting, overdue)
    assert it.take(2.0) == flying
    found = [it.remove(each) for each in (flying.id, waiting.id, waiting.id, overdue.id, overdue.id, -1)]
    assert found == [False, True, False, True, False, False]
    assert (it.expired(2.0), len(it)) == ([], 1)


def test_only_what_is_in_flight_can_be_done() -> None:
    it = queue()
    waiting = item()
    put(it, waiting)
    with pytest.raises(KeyError):
        it.done(waiting.id, 0.0)
    assert it.take(0.0) == waiting


def test_an_item_is_in_the_queue_once() -> None:
    it = queue()
    waiting = item()
    put(it, waiting)
    with pytest.raises(ValueError, match="is in the queue"):
        put(it, waiting)
    assert len(it) == 1


# The room.


def fill(it: Queue, client: str) -> int:
    """Put as many as there is room for; return how many that were."""
    for n in range(it._most + 1):
        try:
            put(it, item(client, f"{client}{n}"))
        except Saturated:
            return n
    raise AssertionError


def test_a_client_may_have_as_many_items_as_there_are_places_left() -> None:
    it = queue(most=1_200)
    assert [fill(it, client) for client in ("a", "b", "c", "d")] == [600, 300, 150, 75]


def test_clients_that_fill_it_together_have_equal_shares_and_leave_one_for_the_next() -> None:
    it = queue(most=2_100)
    full: set[str] = set()
    while len(full) < 20:
        for client in (f"bot{n}" for n in range(20)):
            try:
                put(it, item(client))
            except Saturated:
                full.add(client)
    assert set(it._clients.values()) == {100}
    put(it, item("new"))


def test_what_was_accepted_before_a_restart_is_put_however_full_it_is() -> None:
    it = queue(most=2)
    restored = [item() for _ in range(4)]
    for each in restored:
        it.restore(each)
    with pytest.raises(Saturated) as refused:
        put(it, item("other"))
    assert refused.value.retry_after_s > 0
    assert run(it, 0.0) == restored


@pytest.mark.parametrize(
    ("rates", "clients", "hold_s", "expected_s"),
    [
        pytest.param(LARK, ["a"], 0.0, 0.1, id="at least a moment"),
        pytest.param(Rates(app=(Rate(20, 60.0),)), ["a"], 0.0, 3.0, id="one must go"),
        pytest.param(Rates(app=(Rate(20, 60.0),)), ["b", "c", "a"], 0.0, 9.0, id="and the others have turns"),
        pytest.param(Rates(app=(Rate(20, 60.0),)), ["a"], 30.0, 33.0, id="after a hold"),
        pytest.param(Rates(), ["a"], 0.0, 0.1, id="no rate is known"),
    ],
)
def test_saturation_says_when_there_is_room_again(
    rates: Rates, clients: Iterable[str], hold_s: float, expected_s: float
) -> None:
    it = queue(rates, most=1_000)
    it.hold(hold_s)
    for client in clients:
        fill(it, client)
    with pytest.raises(Saturated) as refused:
        put(it, item("a"))
    assert refused.value.retry_after_s == pytest.approx(expected_s)


def test_who_waits_as_told_finds_room() -> None:
    it = queue(Rates(app=(Rate(20, 60.0),)), most=100)
    put(it, *(item("other", f"z{n}") for n in range(20)))
    run(it, 0.0)
    fill(it, "a")
    with pytest.raises(Saturated) as refused:
        put(it, item("a"), now=10.0)
    assert refused.value.retry_after_s == pytest.approx(60 * SLEW - 10 + 3)
    drain(it, until=10.0 + refused.value.retry_after_s)
    put(it, item("a"))


def test_nobody_is_told_to_wait_for_ever() -> None:
    it = queue(Rates(app=(Rate(1, 1.0),)), most=2)
    put(it, item("a"))
    assert it.take(0.0) is not None
    with pytest.raises(Saturated) as refused:
        put(it, item("a"))
    assert refused.value.retry_after_s == 1.0


def test_there_is_nothing_to_wait_for_while_there_is_room() -> None:
    assert queue().retry_after_s(0.0) == 0.0
