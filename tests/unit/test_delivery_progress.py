"""What a delivery window keeps, passes over and reads again, one rule a test."""

import pytest

from fakes.journal_events import event, events, seqs, window
from longwire.delivery import Filters, Progress, Wanted, Window, WindowLimits
from longwire.journal import Page

# Progress.


def test_progress_is_the_low_water_mark_and_the_ranges_done_above_it() -> None:
    made = window("abcdef", credit=5)
    made.step(0.0)
    assert made.take_progress() is None
    made.ack("c", seqs=[2, 3, 5])
    assert made.take_progress() == Progress(0, [(2, 3), (5, 5)])
    assert made.take_progress() is None
    made.ack("c", seqs=[1])
    assert made.take_progress() == Progress(3, [(5, 5)])
    made.add_credit("c", 1)
    made.step(0.0)
    made.ack("c", seqs=[6])
    assert made.take_progress() == Progress(3, [(5, 6)])
    made.ack("c", up_to=6)
    assert made.take_progress() == Progress(6)


def test_a_window_made_again_from_its_progress_skips_what_was_done() -> None:
    made = Window(Progress(3, [(5, 5), (7, 8), (10, 10)]), head=9)
    made.join("c", credit=100)
    assert made.wants() == Wanted(3, 1_000, 64 * 1024 * 1024)
    made.add_page(Page(events("abc", first=4), 6), after_seq=3)
    assert seqs(made.step(0.0)) == [4, 6]
    made.ack("c", seqs=[4])
    assert made.take_progress() == Progress(5, [(7, 8), (10, 10)])  # what is not yet read stays known
    made.add_page(Page(events("abc", first=7), 9), after_seq=6)
    assert not made.is_lagging
    made.offer(events("ab", first=10))
    assert seqs(made.step(0.0)) == [9, 11]
    made.ack("c", up_to=11)
    assert made.take_progress() == Progress(11)


def test_a_range_that_is_read_is_forgotten() -> None:
    made = Window(Progress(0, [(2, 3)]), head=3)
    made.join("c", credit=1)
    made.add_page(Page(events("abc"), 3), after_seq=0)
    made.step(0.0)
    made.ack("c", seqs=[1])
    assert made.take_progress() == Progress(3)


def test_a_range_that_is_half_read_stays_known() -> None:
    made = Window(Progress(0, [(2, 9)]), head=9)
    made.join("c", credit=1)
    made.add_page(Page(events("abcd"), 4), after_seq=0)
    made.step(0.0)
    made.ack("c", seqs=[1])
    assert made.take_progress() == Progress(4, [(5, 9)])


def test_events_of_no_interest_advance_the_low_water_mark_when_nothing_below_is_open() -> None:
    made = Window(Progress(0), head=0, filters=Filters(types=frozenset({"message.created"})))
    made.join("c", credit=100)
    made.offer([event(1, type="card.action"), event(2), event(3, type="card.action")])
    assert made.take_progress() == Progress(1, [(3, 3)])
    assert seqs(made.step(0.0)) == [2]
    made.ack("c", seqs=[2])
    assert made.take_progress() == Progress(3)
    made.offer([event(4, type="card.action")])
    assert made.take_progress() == Progress(4)


@pytest.mark.parametrize(
    ("filters", "matching"),
    [
        (Filters(), True),
        (Filters(tenant="acme", accounts=frozenset({"bot"}), types=frozenset({"message.created"})), True),
        (Filters(tenant="other"), False),
        (Filters(accounts=frozenset({"x", "y"})), False),
        (Filters(types=frozenset()), False),
    ],
)
def test_filters_are_about_tenant_account_and_type(filters: Filters, *, matching: bool) -> None:
    assert filters.matches(event(1)) is matching


def test_filters_are_equal_whatever_the_order_of_their_names() -> None:
    assert Filters(types=frozenset(["a", "b"])) == Filters(types=frozenset(["b", "a"]))
    assert Filters(types=frozenset(["a"])) != Filters(accounts=frozenset(["a"]))


# Lag.


def test_a_full_window_lags_and_wants_a_page_once_there_is_room() -> None:
    made = window("abcdefghij", limits=WindowLimits(max_events=8, page_events=3))
    assert (made.held_events, made.is_lagging, made.wants()) == (8, True, None)
    made.offer(events("k", first=11))
    made.step(0.0)
    made.ack("c", seqs=[1, 2])
    assert made.wants() == Wanted(8, 2, 64 * 1024 * 1024 - 6)
    made.ack("c", up_to=8)
    assert made.wants() == Wanted(8, 3, 64 * 1024 * 1024)
    made.add_page(Page(events("ijk", first=9), 11), after_seq=8)
    assert seqs(made.step(0.0)) == [9, 10, 11]
    assert (made.is_lagging, made.wants()) == (False, None)
    made.offer(events("l", first=12))
    assert seqs(made.step(0.0)) == [12]


def test_the_window_is_bounded_in_bytes_too() -> None:
    made = window("abc", limits=WindowLimits(max_bytes=2))
    assert (made.held_events, made.held_bytes, made.is_lagging) == (2, 2, True)
    assert made.wants() is None
    made.step(0.0)
    made.ack("c", seqs=[1])
    assert made.wants() == Wanted(2, 1_000, 1)


def test_of_a_page_only_what_fits_is_taken() -> None:
    made = Window(Progress(0), head=3, limits=WindowLimits(max_events=2))
    made.join("c", credit=9)
    made.add_page(Page(events("abc"), 3), after_seq=0)
    assert seqs(made.step(0.0)) == [1, 2]
    assert made.is_lagging


def test_a_page_that_no_longer_fits_on_is_ignored() -> None:
    made = Window(Progress(0), head=3)
    made.join("c", credit=9)
    made.add_page(Page(events("b", first=2), 2), after_seq=1)
    assert made.step(0.0) == {}
    made.add_page(Page(events("ab"), 2), after_seq=0)
    made.add_page(Page(events("ab"), 2), after_seq=0)
    assert seqs(made.step(0.0)) == [1, 2]


def test_a_page_read_ahead_of_the_offers_is_not_taken_twice() -> None:
    made = Window(Progress(0), head=1)
    made.join("c", credit=9)
    made.add_page(Page(events("abc"), 3), after_seq=0)  # 2 and 3 are committed, but not yet offered
    made.offer(events("ab", first=2))
    assert not made.is_lagging
    made.offer([])
    made.offer(events("cd", first=3)[1:])
    assert seqs(made.step(0.0)) == [1, 2, 3, 4]


def test_a_page_without_events_tells_how_far_the_journal_was_emptied() -> None:
    made = Window(Progress(0), head=7)
    made.join("c", credit=9)
    made.add_page(Page([], 7), after_seq=0)
    assert (made.is_lagging, made.take_progress()) == (False, Progress(7))


# What retention takes away.


def test_a_window_behind_what_is_removed_goes_on_behind_it_and_tells_what_it_lost() -> None:
    made = Window(Progress(2), head=9)
    assert made.skip_through(6) == (3, 6)
    assert made.take_progress() == Progress(6)
    assert made.skip_through(6) is None
    made.join("c", credit=9)
    assert made.wants() == Wanted(6, 1000, WindowLimits().max_bytes)
    made.add_page(Page(events("abc", first=7), 9), after_seq=6)
    assert seqs(made.step(0.0)) == [7, 8, 9]


def test_a_window_that_is_done_with_what_is_removed_loses_nothing() -> None:
    made = window("abcd")
    made.step(0.0)
    made.ack("c", up_to=3)
    assert made.skip_through(3) is None
    assert made.low_water == 3


def test_what_is_held_of_it_is_let_go_in_flight_or_not_and_its_ack_is_no_mistake() -> None:
    made = window("aabb", credit=2)
    assert seqs(made.step(0.0)) == [1, 2]
    assert made.skip_through(3) == (1, 3)
    assert (made.held_events, made.low_water) == (1, 3)
    assert made.ack("c", seqs=[1, 2]) == []
    made.add_credit("c", 5)
    assert seqs(made.step(0.0)) == [4]
    assert made.ack("c", seqs=[4]) == []
    assert made.take_progress() == Progress(4)


def test_what_was_done_above_it_stays_done() -> None:
    made = Window(Progress(1, [(3, 3), (6, 6)]), head=7)
    assert made.skip_through(4) == (2, 4)
    assert made.take_progress() == Progress(4, [(6, 6)])
    made.join("c", credit=9)
    made.add_page(Page(events("abc", first=5), 7), after_seq=4)
    assert seqs(made.step(0.0)) == [5, 7]
