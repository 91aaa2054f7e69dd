"""What a lane has in hand: whose turn is next, and what need not be posted."""

from __future__ import annotations

import pytest

from longwire.courier import hand as hand_module
from longwire.courier.hand import Hand, value_at
from longwire_protocol.event import Chat, Delivery
from longwire_protocol.subscription import IncomingEvent


def event(seq: int, chat: str | None = "a", *, attempt: int = 1, kind: str = "t") -> IncomingEvent:
    return IncomingEvent(
        seq=seq,
        id=f"id-{seq}",
        type=kind,
        time=0.0,
        recv_time=0.0,
        tenant="acme",
        account="bot",
        platform="lark",
        chat=None if chat is None else Chat(id=chat, type="group"),
        raw={"card": {"id": chat, "parts": [1]}},
        delivery=Delivery(attempt=attempt, redelivered=attempt > 1),
    )


def holding(*events: IncomingEvent, is_ordered: bool = True, latest_wins: str | None = None) -> Hand:
    made = Hand(is_ordered=is_ordered, latest_wins=latest_wins)
    for each in events:
        assert made.add(each) == []
    return made


def taken(hand: Hand, most: int = 1) -> list[int]:
    return [item.seq for item in hand.take(most)]


class TestOrder:
    def test_a_chat_has_one_post_under_way_and_chats_take_turns(self) -> None:
        hand = holding(event(1, "a"), event(2, "a"), event(3, "b"))
        first = hand.take(1)
        assert [item.seq for item in first] == [1]
        assert taken(hand) == [3]
        assert not hand.is_ready
        assert hand.take(1) == []
        hand.done(first)
        assert (len(hand), taken(hand)) == (1, [2])

    def test_without_order_and_without_chat_each_event_is_on_its_own(self) -> None:
        assert taken(holding(event(1), event(2), is_ordered=False), 1) == [1]
        hand = holding(event(1), event(2), event(3, None), event(4, None), is_ordered=False)
        assert [taken(hand) for _ in range(4)] == [[1], [2], [3], [4]]

    def test_an_event_that_comes_again_goes_before_those_behind_it_which_come_again_too(self) -> None:
        hand = holding(event(2), event(3), event(4, "b"))
        hand.add(event(2, attempt=2))
        assert len(hand) == 2
        hand.add(event(3, attempt=2))
        assert sorted(taken(hand) + taken(hand)) == [2, 4]

    def test_what_is_behind_a_failed_event_is_forgotten(self) -> None:
        hand = holding(event(1), event(2), event(3), event(4, "b"))
        items = hand.take(1)
        hand.drop_from(items[0].place, 1)
        hand.done(items)
        assert (len(hand), taken(hand), taken(hand)) == (1, [4], [])
        hand.drop_from("nobody", 1)

    def test_what_waits_of_an_idle_chat_is_forgotten_with_its_turn(self) -> None:
        hand = holding(event(1), event(2))
        hand.drop_from(("bot", "a"), 2)
        assert taken(hand) == [1]
        hand = holding(event(1))
        hand.drop_from(("bot", "a"), 1)
        assert not hand.is_ready

    def test_all_can_be_forgotten_also_while_something_is_under_way(self) -> None:
        hand = holding(event(1), event(2), event(3, "b"))
        items = hand.take(1)
        hand.clear()
        hand.done(items)
        assert (len(hand), hand.is_ready) == (0, False)


class TestBatches:
    def test_a_batch_takes_all_that_waits_of_a_chat_and_of_the_next(self) -> None:
        hand = holding(event(1), event(2), event(3, "b"), event(4, "b"))
        assert taken(hand, 3) == [1, 2, 3]
        assert taken(hand, 3) == []

    def test_an_event_that_was_delivered_before_goes_alone(self) -> None:
        assert taken(holding(event(1, attempt=2), event(2)), 9) == [1]
        hand = holding(event(3, "b"), event(1, attempt=2), event(2))
        assert taken(hand, 9) == [3]
        assert taken(hand, 9) == [1]

    def test_a_batch_ends_before_one_that_was(self) -> None:
        hand = holding(event(1), event(2, attempt=2))
        assert taken(hand, 9) == [1]


class TestLatest:
    def test_of_those_that_wait_only_the_newest_is_posted(self) -> None:
        hand = Hand(is_ordered=True, latest_wins="chat.id")
        assert hand.add(event(1)) == []
        assert [gone.seq for gone in hand.add(event(2))] == [1]
        assert [gone.seq for gone in hand.add(event(1, "z", attempt=2))] == []
        assert hand.add(event(3, "b")) == []
        assert hand.add(event(4, kind="other")) == []
        assert taken(hand, 9) == [2, 4]
        assert (taken(hand, 9), taken(hand, 9)) == ([1], [3])

    def test_one_that_comes_again_after_a_newer_one_was_posted_is_not(self) -> None:
        hand = Hand(is_ordered=False, latest_wins="chat.id")
        hand.add(event(2))
        items = hand.take(1)
        assert hand.add(event(1, attempt=2)) == []  # nobody knows yet whether the newer one arrives
        assert [gone.seq for gone in hand.posted(items[0])] == [1]
        hand.done(items)
        assert [gone.seq for gone in hand.add(event(1, attempt=3))] == [1]
        assert len(hand) == 0

    def test_the_last_of_a_chat_leaves_no_turn_behind(self) -> None:
        hand = Hand(is_ordered=True, latest_wins="raw.card.id")
        older, newer = event(1, "a"), event(2, "b")
        newer.raw = older.raw
        hand.add(older)
        assert [gone.seq for gone in hand.add(newer)] == [1]
        assert (taken(hand), taken(hand)) == ([2], [])

    def test_what_is_superseded_leaves_no_place_behind(self) -> None:
        hand = Hand(is_ordered=False, latest_wins="chat.id")
        for seq in range(1, 100):
            hand.add(event(seq))
        assert len(hand) == len(hand._queues) == 1

    def test_what_is_superseded_behind_a_post_leaves_its_chat_to_that(self) -> None:
        hand = Hand(is_ordered=True, latest_wins="raw.card.id")
        first, older, newer = event(1, "a"), event(2, "a"), event(3, "b")
        first.raw, older.raw = None, newer.raw
        hand.add(first)
        items = hand.take(1)
        hand.add(older)
        assert [gone.seq for gone in hand.add(newer)] == [2]
        hand.done(items)
        assert (taken(hand), taken(hand)) == ([3], [])

    def test_of_a_long_value_only_a_digest_is_kept(self) -> None:
        hand = Hand(is_ordered=False, latest_wins="chat.id")
        first, second, other = (
            event(seq, "a" * 200_000 + end) for seq, end in ((1, "x"), (2, "x"), (3, "y"))
        )
        hand.add(first)
        assert [gone.seq for gone in hand.add(second)] == [1]
        assert hand.add(other) == []
        assert all(item.key is not None and len(item.key[2]) <= 128 for item in hand.take(2))

    def test_only_what_is_older_leaves_its_chat(self) -> None:
        hand = Hand(is_ordered=True, latest_wins="raw.card.id")
        first, second, third = event(1), event(2), event(3)
        second.raw = event(9, "other").raw
        hand.add(first)
        hand.add(second)
        assert [gone.seq for gone in hand.add(third)] == [1]
        assert taken(hand, 9) == [2, 3]

    def test_an_event_without_such_a_value_counts_for_itself(self) -> None:
        hand = holding(event(1, None), event(2, None), latest_wins="chat.id")
        assert len(hand) == 2

    def test_a_second_copy_takes_the_place_of_the_first(self) -> None:
        hand = holding(event(1), latest_wins="chat.id")
        assert hand.add(event(1, attempt=2)) == []
        assert len(hand) == 1

    def test_a_long_value_is_as_good_a_key_and_is_not_kept(self) -> None:
        long = "x" * 100_000
        hand = holding(event(2, long), event(3, long + "y"), latest_wins="chat.id")
        assert [gone.seq for gone in hand.add(event(4, long))] == [2]
        keys = [item.key for item in hand.take(2)]
        assert all(key is not None and len(key[2]) == 64 for key in keys)

    def test_values_are_forgotten_in_the_order_in_which_they_were_posted(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hand_module, "MAX_KEYS", 2)
        hand = holding(event(11, "a"), event(12, "b"), event(13, "c"), latest_wins="chat.id")
        for item in hand.take(3):
            assert hand.posted(item) == []
            hand.done([item])
        assert hand.add(event(1, "a")) == []
        assert len(hand.add(event(2, "b"))) == 1


class TestPosted:
    def test_the_copy_of_what_was_posted_meanwhile_need_not_be(self) -> None:
        hand = holding(event(1))
        items = hand.take(1)
        hand.clear()  # the subscription was left, and opened again
        hand.add(event(1, attempt=2))
        assert [gone.seq for gone in hand.posted(items[0])] == [1]
        hand.done(items)
        assert not hand.is_ready


def test_a_value_is_looked_up_by_the_names_of_the_wire() -> None:
    one = event(1)
    assert value_at(one, ["chat", "id"]) == "a"
    assert value_at(one, ["raw", "card", "id"]) == "a"
    assert value_at(one, ["raw", "card", "parts"]) is None
    assert value_at(one, ["raw", "card", "parts", "0"]) is None
    assert value_at(one, ["self", "id"]) is None
    assert value_at(one, ["nonsense"]) is None
    assert value_at(one, ["seq"]) == 1
