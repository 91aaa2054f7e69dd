"""What becomes of events that fail, one rule a test."""

import pytest

from fakes.journal_events import attempts, event, events, seqs, window
from longwire.delivery import Cause, DeadEvent, Failing, Progress, Window, WindowLimits
from longwire.delivery.failures import retry_delay_s
from longwire.journal import Page

TIMEOUT_S = 30.0


def fail(made: Window, seq: int, *, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        assert seq in seqs(made.step(now))
        assert made.nack("c", seq=seq, delay_s=0.0, now=now)


# Delays.


@pytest.mark.parametrize(("failures", "delay_s"), [(1, 0.5), (2, 1.0), (3, 2.0), (8, 60.0), (50, 60.0)])
def test_a_nack_without_delay_waits_by_an_exponential_backoff(failures: int, delay_s: float) -> None:
    failing = Failing(1, failures, failures, 0.0, 0.0, 0.0)
    for luck in (0.0, 1.0):
        waits = retry_delay_s(
            failing, Cause.NACKED, asked_s=None, limits=WindowLimits(), luck=lambda luck=luck: luck
        )
        assert waits == delay_s * (0.5 + luck / 2)


def test_a_nack_without_delay_lets_the_chat_wait_and_others_go_on() -> None:
    made = window("ab")
    made.step(0.0)
    made.nack("c", seq=1, delay_s=None, now=0.0)
    assert made.next_deadline() == 0.5
    made.offer(events("ab", first=3))
    assert seqs(made.step(0.4)) == [4]
    assert attempts(made.step(0.5)) == [(1, 2), (3, 1)]


def test_a_missing_ack_is_made_good_at_once_the_first_time_and_later_with_backoff() -> None:
    made = window("a")
    made.step(0.0)
    assert attempts(made.step(TIMEOUT_S)) == [(1, 2)]
    assert made.step(2 * TIMEOUT_S) == {}
    assert attempts(made.step(2 * TIMEOUT_S + 0.5)) == [(1, 3)]
    assert made.step(3 * TIMEOUT_S + 0.5) == {}
    assert made.next_deadline() == 3 * TIMEOUT_S + 1.5


def test_no_delay_goes_beyond_the_time_a_chat_may_be_blocked() -> None:
    made = window("a", limits=WindowLimits(chat_block_max_s=10.0))
    made.step(0.0)
    made.nack("c", seq=1, delay_s=6.0, now=0.0)
    made.step(6.0)
    made.nack("c", seq=1, delay_s=99.0, now=7.0)  # 6 s of delay, 1 s in flight: 3 s are left
    assert made.next_deadline() == 10.0


# Dead letters.


def test_after_max_attempts_failures_the_event_is_given_up_and_its_chat_goes_on() -> None:
    made = window("aa", limits=WindowLimits(max_attempts=3))
    fail(made, 1, times=3, now=1.0)
    (dead,) = made.take_dead()
    assert dead == DeadEvent(event(1, "a"), Failing(1, 3, 3, 0.0, 1.0, 1.0), Cause.NACKED)
    assert attempts(made.step(1.0)) == [(2, 4)]
    assert made.take_dead() == []
    assert made.take_progress() == Progress(1)


def test_an_event_that_blocked_its_chat_too_long_is_given_up_at_its_next_failure() -> None:
    made = window("ab", limits=WindowLimits(chat_block_max_s=10.0, max_attempts=99))
    made.step(0.0)
    made.nack("c", seq=1, delay_s=99.0, now=0.0)
    assert made.step(9.9) == {}
    assert attempts(made.step(10.0)) == [(1, 2)]  # the last try
    made.nack("c", seq=1, delay_s=None, now=10.1)
    assert [dead.failing.failures for dead in made.take_dead()] == [2]


def test_time_without_anybody_to_take_the_event_does_not_count_as_blocked() -> None:
    made = window("a", limits=WindowLimits(chat_block_max_s=10.0))
    made.step(0.0)
    made.nack("c", seq=1, delay_s=0.0, now=0.0)
    made.leave("c")
    made.join("c", credit=9)
    made.step(1_000.0)
    made.nack("c", seq=1, delay_s=0.0, now=1_001.0)
    assert attempts(made.step(1_001.0)) == [(1, 3)]
    assert made.take_dead() == []


def test_what_followed_a_failing_event_has_not_failed() -> None:
    made = window("aaa", limits=WindowLimits(max_attempts=2))
    fail(made, 1, times=2)
    fail(made, 2, times=1)
    assert [dead.event.seq for dead in made.take_dead()] == [1]
    assert attempts(made.step(0.0)) == [(2, 4), (3, 4)]


def test_limits_that_are_lowered_count_for_what_is_under_way() -> None:
    made = window("a")
    fail(made, 1, times=2)
    made.step(0.0)
    made.limits = WindowLimits(max_attempts=2, ack_timeout_s=5.0)
    assert made.next_deadline() == 5.0
    made.step(5.0)
    assert [dead.cause for dead in made.take_dead()] == [Cause.ACK_TIMEOUT]


# Clients that leave.


def test_a_client_that_takes_its_leave_fails_nothing() -> None:
    made = window("a", limits=WindowLimits(max_attempts=1))
    made.step(0.0)
    made.leave("c")
    made.join("c", credit=9)
    assert attempts(made.step(0.0)) == [(1, 2)]
    assert made.take_dead() == []


def test_a_client_that_is_gone_fails_the_first_of_each_chat() -> None:
    made = window("abab-")
    made.step(0.0)
    made.leave("c", failed_at=1.0)
    progress = made.take_progress()
    assert progress is not None
    assert [failing.seq for failing in progress.failing] == [1, 2, 5]


def test_of_a_crashing_clients_events_only_the_one_it_had_longest_is_given_up() -> None:
    made = window("abc", limits=WindowLimits(max_attempts=3))
    now = 0.0
    for _ in range(5):
        assert 1 in seqs(made.step(now)) or now > 200.0
        made.leave("c", failed_at=now)
        made.join("c", credit=9)
        now += 100.0
    assert [(dead.event.seq, dead.cause) for dead in made.take_dead()] == [
        (1, Cause.CLIENT_LEFT),
        (2, Cause.CLIENT_LEFT),
        (3, Cause.CLIENT_LEFT),
    ]
    progress = made.take_progress()
    assert progress == Progress(3)


def test_an_ack_up_to_a_number_covers_what_was_sent_again_only_if_it_is_above_all_sent_before() -> None:
    made = window("ab")
    made.step(0.0)
    made.nack("c", seq=1, delay_s=1.0, now=0.0)
    assert made.ack("c", up_to=2) == []  # 1 was given back
    made.offer(events("c", first=3))
    made.step(0.5)
    made.step(1.0)  # in flight: 3, 1
    assert made.ack("c", up_to=3) == []  # it may have been on its way when 1 was sent again
    assert (made.low_water, made.held_events) == (0, 1)
    made.offer(events("d", first=4))
    made.step(1.0)
    made.ack("c", up_to=4)
    assert made.low_water == 4


def test_an_ack_up_to_a_number_covers_nothing_that_was_handed_over_behind_it() -> None:
    made = window("ab", credit=1)
    made.join("d", credit=1)
    made.step(0.0)  # 1 to c, 2 to d
    made.leave("c", failed_at=0.0)
    made.add_credit("d", 1)
    made.step(9.0)  # 1 to d
    made.ack("d", up_to=2)
    assert (made.low_water, made.in_flight) == (0, 1)
    made.ack("d", seqs=[1])
    assert made.low_water == 2


def test_an_ack_up_to_a_number_may_cover_what_another_has_done_meanwhile() -> None:
    made = window("ab", credit=2)
    made.step(0.0)
    made.nack("c", seq=2, delay_s=0.0, now=0.0)
    made.step(1.0)
    made.step(32.0)  # 1 timed out, and is sent again behind 2
    made.join("d", credit=9)
    made.step(64.0)  # both timed out once more; d has more credit
    made.ack("d", seqs=[1])
    assert made.ack("c", up_to=9) == []
    assert made.low_water == 1


def test_an_ack_up_to_a_number_that_comes_late_covers_what_timed_out() -> None:
    made = window("a")
    made.step(0.0)
    made.step(99.0)  # sent again, with nothing before it but itself
    made.ack("c", up_to=1)
    assert made.low_water == 1


# Over restarts.


def test_failures_and_deliveries_are_counted_over_restarts() -> None:
    made = window("ab", limits=WindowLimits(max_attempts=3))
    fail(made, 1, times=2)
    made.step(0.0)
    saved = made.take_progress()
    assert saved == Progress(0, [], [Failing(1, 3, 2, 0.0, 0.0, 0.0)])
    again = Window(saved, head=2, limits=WindowLimits(max_attempts=3))
    again.join("c", credit=9)
    again.add_page(Page(events("ab"), 2), after_seq=0)
    assert attempts(again.step(5.0)) == [(1, 4), (2, 1)]
    again.nack("c", seq=1, delay_s=0.0, now=5.0)
    assert [dead.failing.attempt for dead in again.take_dead()] == [4]


def test_failures_of_events_not_read_again_yet_stay_known_and_those_of_removed_ones_do_not() -> None:
    failing = [Failing(2, 1, 1, 0.0, 0.0, 0.0), Failing(9, 1, 1, 0.0, 0.0, 0.0)]
    made = Window(Progress(0, [], failing), head=9)
    made.join("c", credit=9)
    made.add_page(Page(events("a", first=5), 5), after_seq=0)  # 1 to 4 were removed from the journal
    assert made.take_progress() == Progress(4, [], failing[1:])


def test_the_books_of_failing_events_are_bounded() -> None:
    made = window("abcd", limits=WindowLimits(max_failing=2))
    made.step(0.0)
    for seq in (4, 3, 2, 1):
        made.nack("c", seq=seq, delay_s=1.0, now=0.0)
    progress = made.take_progress()
    assert progress is not None
    assert [failing.seq for failing in progress.failing] == [1, 2]


# Once more.


def test_a_resumed_event_comes_next_of_its_chat_and_moves_no_position() -> None:
    made = window("aaa", limits=WindowLimits(max_attempts=1), credit=2)
    fail(made, 1, times=1)
    (dead,) = made.take_dead()
    made.resume(dead.event, attempt=dead.failing.attempt)
    made.resume(dead.event, attempt=dead.failing.attempt)
    assert made.take_progress() == Progress(1)
    made.add_credit("c", 9)
    assert attempts(made.step(0.0)) == [(1, 2), (2, 2), (3, 1)]
    assert made.take_resumed_done() == []
    made.ack("c", seqs=[1])
    assert made.take_resumed_done() == [1]
    assert (made.take_resumed_done(), made.held_events, made.held_bytes) == ([], 2, 2)


def test_a_resumed_event_takes_back_what_is_in_flight_behind_it_in_its_chat() -> None:
    made = window("aa", limits=WindowLimits(max_attempts=1))
    fail(made, 1, times=1)
    (dead,) = made.take_dead()
    assert attempts(made.step(0.0)) == [(2, 2)]
    made.resume(dead.event, attempt=1)
    assert attempts(made.step(0.0)) == [(1, 2), (2, 3)]


def test_an_event_is_resumed_where_others_were_read_around_it() -> None:
    made = Window(Progress(1, [(3, 3)]), head=9)
    made.join("c", credit=0)
    made.add_page(Page(events("aaaa", first=2), 5), after_seq=1)
    made.resume(events("a", first=3)[0], attempt=1)
    made.add_credit("c", 9)
    assert [seq for seq, _ in attempts(made.step(0.0))] == [3, 2, 4, 5]
    assert made.ack("c", seqs=[1]) == []


def test_a_resumed_event_that_fails_again_is_given_up_again() -> None:
    made = window("a", limits=WindowLimits(max_attempts=1))
    fail(made, 1, times=1)
    (dead,) = made.take_dead()
    made.resume(dead.event, attempt=1)
    fail(made, 1, times=1)
    assert made.take_resumed_done() == [1]
    assert [again.failing.attempt for again in made.take_dead()] == [2]


def test_a_resumed_event_can_be_discarded_and_no_other_can() -> None:
    made = Window(Progress(5), head=5)
    made.resume(event(3, "a"), attempt=1)
    made.offer(events("a", first=6))
    made.discard(6)
    made.discard(3)
    made.discard(3)
    assert made.take_resumed_done() == [3]
    assert made.held_events == 0  # nobody is there, so 6 stays in the journal
    assert (made.lag, made.in_flight) == (1, 0)
