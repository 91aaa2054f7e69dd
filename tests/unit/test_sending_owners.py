"""One app in two accounts: each has its own order, and both together keep to the app's limits."""

from itertools import count
from math import inf

from longwire.sending import Item, Queue
from longwire.sending.rates import SLEW
from longwire_protocol.declaration import Rate, Rates

_ids = count(1)


def queue(*, app: int = 50, chat: int = 5) -> Queue:
    rates = Rates(app=(Rate(app, 1.0),), chat=(Rate(chat, 1.0),))
    return Queue(rates, most=100, most_in_flight=64)


def put(it: Queue, owner: str, chat: str, *, client: str = "bot", times: int = 1) -> list[Item]:
    items = [Item(next(_ids), client, chat, 0.0, inf, owner) for _ in range(times)]
    for item in items:
        it.put(item, 0.0)
    return items


def owners(it: Queue, now: float) -> list[object]:
    """Let everything go that may go now, and say whose each was."""
    gone = []
    while (item := it.take(now)) is not None:
        it.done(item.id, now)
        gone.append(item.owner)
    return gone


def test_two_accounts_of_an_app_get_no_more_than_its_limit_together() -> None:
    it = queue(app=10)
    for number in range(20):
        put(it, "a", f"a{number}")
        put(it, "b", f"b{number}", client="other")
    assert sorted(map(str, owners(it, 0.0))) == ["a"] * 5 + ["b"] * 5
    assert owners(it, 1.0) == []
    assert len(owners(it, SLEW)) == 10


def test_a_chat_of_two_accounts_gets_no_more_than_its_limit_of_both() -> None:
    it = queue(chat=3)
    put(it, "a", "c", times=2)
    put(it, "b", "c", times=2)
    assert len(owners(it, 0.0)) == 3
    assert (it.take(0.5), it.next_at(0.5)) == (None, SLEW)
    assert len(owners(it, SLEW)) == 1


def test_the_last_token_of_a_chat_under_way_for_one_account_is_waited_for_by_the_other() -> None:
    it = queue(chat=1)
    (first,) = put(it, "a", "c")
    put(it, "b", "c")
    assert it.take(0.0) == first
    assert (it.take(0.0), it.next_at(0.0)) == (None, None)
    it.done(first.id, 5.0)
    assert it.next_at(5.0) == 5.0 + SLEW
    assert owners(it, 5.0 + SLEW) == ["b"]


def test_an_account_that_is_down_holds_up_no_other_in_the_same_chat_and_goes_on_in_order() -> None:
    it = queue()
    waiting = put(it, "a", "c", times=2)
    put(it, "b", "c")
    it.pause("a")
    it.pause("a")
    assert owners(it, 0.0) == ["b"]
    assert it.next_at(0.0) is None
    waiting += put(it, "a", "c")
    assert it.count_of("a") == (3, 0)
    it.resume("a")
    gone = []
    while (item := it.take(0.0)) is not None:
        assert it.count_of("a")[1] == 1
        it.done(item.id, 0.0)
        gone.append(item)
    assert gone == waiting


def test_a_hold_of_a_chat_is_every_accounts() -> None:
    it = queue()
    put(it, "a", "c")
    put(it, "b", "c")
    it.hold(7.0, "c")
    assert (owners(it, 6.9), it.next_at(0.0)) == ([], 7.0)
    assert sorted(map(str, owners(it, 7.0))) == ["a", "b"]


def test_it_rests_when_nothing_is_to_be_remembered() -> None:
    it = queue()
    assert it.is_rested(0.0)
    put(it, "a", "c")
    assert not it.is_rested(0.0)
    assert owners(it, 0.0) == ["a"]
    assert not it.is_rested(0.9)
    assert it.is_rested(2.0)
    it.hold(9.0)
    assert not it.is_rested(8.0)


def test_what_was_never_sent_takes_nothing_of_the_limits() -> None:
    it = queue(app=1, chat=1)
    (first,) = put(it, "a", "c")
    put(it, "b", "c")
    assert it.take(0.0) == first
    it.withdraw(first.id, 0.0)
    assert owners(it, 0.0) == ["b"]
    assert len(it) == 0
