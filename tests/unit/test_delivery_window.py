"""The delivery window against the rules of the client protocol, one rule a test."""

import pytest

from fakes.journal_events import attempts, event, events, seqs, window
from longwire.delivery import Progress, Wanted

TIMEOUT_S = 30.0


# First deliveries.


def test_a_sole_client_gets_first_deliveries_in_seq_order_several_of_a_chat_in_flight() -> None:
    sends = window("aab-ba").step(0.0)
    assert sends["c"][0].event == event(1, "a")
    assert attempts(sends) == [(n, 1) for n in range(1, 7)]


def test_each_event_costs_one_credit_and_acks_give_none_back() -> None:
    made = window("abab", credit=2)
    assert seqs(made.step(0.0)) == [1, 2]
    assert made.ack("c", seqs=[1, 2]) == []
    assert made.step(0.0) == {}
    made.add_credit("c", 1)
    assert seqs(made.step(0.0)) == [3]


def test_seq_order_holds_for_a_sole_client_also_where_one_chat_is_its_own_and_one_is_free() -> None:
    made = window("aaba", credit=1)
    assert seqs(made.step(0.0)) == [1]  # chat a is now bound to c, chat b is free
    made.add_credit("c", 3)
    assert seqs(made.step(0.0)) == [2, 3, 4]


def test_redeliveries_cost_credit_too() -> None:
    made = window("a", credit=1)
    made.step(0.0)
    assert made.nack("c", seq=1, delay_s=0.0, now=0.0)
    assert made.step(0.0) == {}
    made.add_credit("c", 1)
    assert attempts(made.step(0.0)) == [(1, 2)]


def test_one_step_sends_a_bounded_number_and_the_next_goes_on() -> None:
    made = window("abc")
    assert seqs(made.step(0.0, max_sends=2)) == [1, 2]
    assert seqs(made.step(0.0, max_sends=2)) == [3]


# Acknowledgements.


def test_an_ack_up_to_covers_what_was_sent_to_this_client_and_no_more() -> None:
    made = window("aaab", credit=2)
    made.join("d", credit=1)
    assert {who: [e.seq for e in sent] for who, sent in made.step(0.0).items()} == {"c": [1, 2], "d": [4]}
    assert made.ack("c", up_to=100) == []
    assert made.take_progress() == Progress(2)
    made.add_credit("d", 1)
    assert seqs(made.step(0.0), "d") == [3]


def test_an_ack_of_what_was_never_sent_there_is_reported_and_changes_nothing() -> None:
    made = window("ab", credit=1)
    made.join("d", credit=0)
    made.step(0.0)
    assert made.ack("c", seqs=[2, 3, 0, -1]) == [2, 3, 0, -1]
    assert made.ack("d", seqs=[1]) == [1]
    assert (made.low_water, made.held_events, made.held_bytes) == (0, 2, 2)
    assert made.take_progress() is None


def test_an_ack_of_what_is_done_already_is_no_error() -> None:
    made = window("a")
    made.step(0.0)
    assert made.ack("c", seqs=[1, 1]) == []
    assert made.ack("c", seqs=[1], up_to=1) == []


def test_a_late_ack_after_redelivery_to_another_client_counts() -> None:
    made = window("aa", credit=2)
    made.step(0.0)
    made.join("d", credit=5)
    assert seqs(made.step(TIMEOUT_S), "d") == [1, 2]
    assert made.ack("c", up_to=1) == []
    assert made.ack("c", seqs=[2]) == []
    assert made.low_water == 2
    assert made.ack("d", seqs=[1, 2]) == []
    assert made.ack("d", up_to=2) == []


def test_a_late_ack_before_redelivery_spares_it_and_lets_the_rest_go_on_in_order() -> None:
    made = window("aaa", credit=3)
    made.step(0.0)
    assert made.step(TIMEOUT_S) == {}  # no credit for sending again
    made.ack("c", seqs=[1])
    made.add_credit("c", 5)
    assert attempts(made.step(TIMEOUT_S)) == [(2, 2), (3, 2)]


def test_a_client_that_never_acks_while_others_do_is_remembered_in_bounded_memory() -> None:
    made = window("", credit=0)
    now = 0.0
    for seq in range(1, 500):
        made.offer([event(seq)])
        made.add_credit("c", 1)
        assert seqs(made.step(now)) == [seq]
        now += TIMEOUT_S
        made.join("d", credit=1)
        assert seqs(made.step(now), "d") == [seq]
        assert made.ack("d", seqs=[seq]) == []
        made.leave("d")
    consumer = made._dispatch._consumers["c"]
    assert len(consumer.had) < 100


# Redelivery.


def test_after_a_nack_the_event_and_all_later_ones_of_its_chat_come_again_in_order() -> None:
    made = window("abaaa", credit=4)
    assert seqs(made.step(0.0)) == [1, 2, 3, 4]
    assert made.nack("c", seq=3, delay_s=0.0, now=0.0)
    made.add_credit("c", 10)
    assert attempts(made.step(0.0)) == [(3, 2), (4, 2), (5, 1)]


def test_a_nacked_chat_waits_for_its_delay_and_others_go_on() -> None:
    made = window("ab")
    made.step(0.0)
    made.nack("c", seq=1, delay_s=2.0, now=1.0)
    made.offer(events("ab", first=3))
    assert seqs(made.step(1.0)) == [4]
    assert made.next_deadline() == 3.0
    assert made.step(2.9) == {}
    assert attempts(made.step(3.0)) == [(1, 2), (3, 1)]


def test_a_delay_is_bounded() -> None:
    made = window("a")
    made.step(0.0)
    made.nack("c", seq=1, delay_s=1e9, now=0.0)
    assert made.next_deadline() == 600.0
    assert attempts(made.step(600.0)) == [(1, 2)]


def test_of_two_delays_of_one_chat_the_longer_holds() -> None:
    made = window("aa")
    made.step(0.0)
    made.nack("c", seq=2, delay_s=9.0, now=0.0)
    made.nack("c", seq=1, delay_s=1.0, now=0.0)
    assert made.step(1.0) == {}
    assert attempts(made.step(9.0)) == [(1, 2), (2, 2)]


def test_a_shorter_delay_then_a_longer_one_ends_with_the_longer() -> None:
    made = window("aa")
    made.step(0.0)
    made.nack("c", seq=2, delay_s=1.0, now=0.0)
    made.nack("c", seq=1, delay_s=9.0, now=0.0)
    assert made.step(1.0) == {}
    assert attempts(made.step(9.0)) == [(1, 2), (2, 2)]


def test_a_nack_of_what_was_never_sent_there_is_reported() -> None:
    made = window("ab", credit=1)
    made.step(0.0)
    assert not made.nack("c", seq=2, delay_s=0.0, now=0.0)
    assert not made.nack("c", seq=7, delay_s=0.0, now=0.0)


def test_a_stale_nack_changes_nothing() -> None:
    made = window("ab", credit=2)
    made.step(0.0)
    made.ack("c", seqs=[1])
    assert made.nack("c", seq=1, delay_s=0.0, now=0.0)  # done
    made.step(TIMEOUT_S)
    assert made.nack("c", seq=2, delay_s=99.0, now=TIMEOUT_S)  # waits already to be sent again
    made.add_credit("c", 1)
    assert attempts(made.step(TIMEOUT_S)) == [(2, 2)]


def test_delays_of_chats_that_are_done_take_bounded_memory() -> None:
    made = window("")
    for seq in range(1, 200):
        made.offer([event(seq, f"chat-{seq}")])
        made.add_credit("c", 1)
        made.step(0.0)
        made.nack("c", seq=seq, delay_s=500.0, now=0.0)
        made.ack("c", seqs=[seq])
    assert len(made._dispatch._delays) < 20
    assert made.low_water == 199
    assert made.step(500.0) == {}
    assert made.next_deadline() is None


def test_a_late_ack_of_a_nacked_event_does_not_end_the_delay_of_its_chat() -> None:
    made = window("aaa", credit=2)
    made.step(0.0)
    made.nack("c", seq=2, delay_s=5.0, now=0.0)
    made.ack("c", seqs=[2])
    made.add_credit("c", 5)
    assert made.step(4.9) == {}
    assert seqs(made.step(5.0)) == [3]


def test_an_event_whose_ack_is_overdue_comes_again_with_what_followed_it() -> None:
    made = window("ab", credit=100)
    made.step(0.0)
    made.offer(events("a", first=3))
    made.step(5.0)
    made.ack("c", seqs=[2])
    assert made.next_deadline() == TIMEOUT_S
    assert made.step(29.9) == {}
    assert attempts(made.step(TIMEOUT_S)) == [(1, 2), (3, 2)]
    assert made.next_deadline() == 2 * TIMEOUT_S


def test_there_is_no_deadline_when_nothing_is_in_flight() -> None:
    assert window("a", credit=0).next_deadline() is None


# Several consumers.


def test_each_chat_stays_with_one_consumer_while_any_of_it_is_in_flight() -> None:
    made = window("abab", credit=2)
    made.join("d", credit=2)
    first = made.step(0.0)
    assert sorted([seqs(first, "c"), seqs(first, "d")]) == [[1, 3], [2, 4]]
    made.offer(events("ab", first=5))
    made.add_credit("c", 10)
    assert list(made.step(0.0)) == ["c"]
    assert made.step(0.0) == {}  # the other chat waits for d, which has no credit
    made.add_credit("d", 1)
    assert list(made.step(0.0)) == ["d"]


def test_a_free_chat_goes_to_the_consumer_with_the_most_credit_then_the_least_load() -> None:
    made = window("a", credit=1)
    made.join("d", credit=5)
    assert seqs(made.step(0.0), "d") == [1]
    made.add_credit("c", 3)  # four each, but d is busy
    made.offer(events("b", first=2))
    assert seqs(made.step(0.0), "c") == [2]


def test_a_chat_with_nothing_in_flight_may_change_its_consumer() -> None:
    made = window("aa", credit=1)
    assert seqs(made.step(0.0)) == [1]
    made.join("d", credit=5)
    assert made.step(0.0) == {}
    made.ack("c", seqs=[1])
    assert seqs(made.step(0.0), "d") == [2]


def test_what_a_leaving_consumer_had_is_handed_over_in_order() -> None:
    made = window("abab", credit=4)
    made.step(0.0)
    made.ack("c", seqs=[2])
    made.join("d", credit=10)
    assert made.consumers == ["c", "d"]
    made.leave("c")
    made.leave("c")
    sends = made.step(0.0)
    assert list(sends) == ["d"]
    assert attempts(sends) == [(1, 2), (3, 2), (4, 2)]


def test_a_leaving_consumer_takes_nothing_from_the_one_that_has_it_now() -> None:
    made = window("a", credit=1)
    made.step(0.0)
    made.join("d", credit=1)
    assert seqs(made.step(TIMEOUT_S), "d") == [1]
    made.leave("c")
    made.add_credit("d", 1)
    assert made.step(TIMEOUT_S) == {}


def test_without_consumers_everything_waits_and_goes_on_with_the_next() -> None:
    made = window("aab", credit=2)
    made.step(0.0)
    made.leave("c")
    assert (made.step(1.0), made.next_deadline(), made.held_events) == ({}, None, 3)
    made.offer(events("a", first=4))  # stays in the journal: there is nobody to send it to
    assert (made.held_events, made.is_lagging, made.wants()) == (3, True, None)
    made.join("d", credit=10)
    assert attempts(made.step(2.0)) == [(1, 2), (2, 2), (3, 1)]
    assert made.wants() == Wanted(3, 1_000, 64 * 1024 * 1024 - 3)


def test_a_consumer_that_joins_again_begins_anew() -> None:
    made = window("a", credit=1)
    made.step(0.0)
    made.join("c", credit=3)
    assert made.ack("c", seqs=[1]) == [1]
    assert attempts(made.step(0.0)) == [(1, 2)]


def test_who_has_not_joined_is_a_key_error() -> None:
    made = window("a", credit=None)
    for call in (
        lambda: made.add_credit("x", 1),
        lambda: made.ack("x", up_to=1),
        lambda: made.nack("x", seq=1, delay_s=0.0, now=0.0),
    ):
        with pytest.raises(KeyError):
            call()


def test_a_chat_that_changed_its_consumer_is_not_also_sent_by_the_one_before() -> None:
    made = window("aa", credit=1)
    made.step(0.0)
    made.join("d", credit=1)
    assert seqs(made.step(TIMEOUT_S), "d") == [1]
    made.add_credit("c", 5)  # 2 once waited for c's credit, and now belongs to d
    assert made.step(TIMEOUT_S) == {}


# Everything in order, and no longer.


def test_what_is_acknowledged_in_order_needs_no_books_and_what_is_not_gets_them() -> None:
    made = window("abab")
    assert seqs(made.step(10.0)) == [1, 2, 3, 4]
    assert (made.in_flight, made.next_deadline()) == (4, 40.0)
    assert made.ack("c", seqs=[1]) == []
    assert made.ack("c", seqs=[3, 99]) == [99]
    assert (made.low_water, made.in_flight, made.held_events) == (1, 2, 2)
    assert made.next_deadline() == 40.0
    made.offer(events("ab", first=5))
    assert seqs(made.step(20.0)) == [5, 6]
    assert made.ack("c", up_to=6) == []
    assert (made.low_water, made.in_flight, made.held_bytes) == (6, 0, 0)
    made.offer(events("a", first=7))
    assert attempts(made.step(30.0)) == [(7, 1)]
    assert made.ack("c", seqs=[6, 7]) == []
    assert made.low_water == 7


def test_a_second_consumer_finds_the_first_ones_chats_in_its_hands() -> None:
    made = window("ab")
    assert seqs(made.step(0.0)) == [1, 2]
    made.join("d", credit=100)
    made.offer(events("abc", first=3))
    sends = made.step(1.0)
    assert (seqs(sends), seqs(sends, "d")) == ([3, 4], [5])
    assert made.ack("d", seqs=[1]) == [1]
