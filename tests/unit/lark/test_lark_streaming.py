"""Which text of a growing one is shown, when, and under which number."""

import pytest

from longwire_connectors.lark.streaming import PACE_S, Card

NOW = 1_790_000_000.0


def test_a_newer_text_makes_the_ones_before_it_stale() -> None:
    card = Card()
    first, second = card.arrive(is_final=False), card.arrive(is_final=False)
    assert card.is_stale(first, is_final=False)
    assert not card.is_stale(second, is_final=False)


def test_the_last_text_is_never_stale_and_nothing_follows_it() -> None:
    card = Card()
    last = card.arrive(is_final=True)
    late = card.arrive(is_final=False)
    assert not card.is_stale(last, is_final=True)
    assert card.is_stale(late, is_final=False)


def test_a_text_waits_until_the_pace_lets_it() -> None:
    card = Card()
    assert card.wait_s(10.0) == 0.0
    card.shown(10.0)
    assert card.wait_s(10.05) == pytest.approx(PACE_S - 0.05)
    assert card.wait_s(11.0) == 0.0
    card.shown(11.0, again_after_s=3.0)
    assert card.wait_s(12.0) == 2.0


def test_numbers_grow_within_a_process_and_with_the_time_over_several() -> None:
    card = Card()
    numbers = [card.next_sequence(NOW) for _ in range(5)]
    assert numbers == list(range(numbers[0], numbers[0] + 5))
    assert Card().next_sequence(NOW + 10.0) > numbers[-1]
    assert card.next_sequence(NOW - 3600.0) == numbers[-1] + 1


def test_numbers_stay_positive_and_within_31_bits() -> None:
    assert Card().next_sequence(0.0) == 1
    assert Card().next_sequence(2_208_000_000.0) == 2**31 - 1  # the year 2039
