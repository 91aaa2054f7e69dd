"""When many accounts fail together, and when that is over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwire.outage import LEAST_ACCOUNTS, WINDOW_S, Outage

USUAL_PER_S = 50.0


def names(count: int) -> list[str]:
    return [f"bot-{number}" for number in range(count)]


def fail(outage: Outage, failing: list[str], *, wanted: int, now: float = 0.0, apart_s: float = 0.0) -> None:
    for number, account in enumerate(failing):
        outage.failed(account, "connection_lost", now=now + number * apart_s, wanted=set(names(wanted)))


def begun(wanted: int = 20) -> Outage:
    outage = Outage(usual_per_s=USUAL_PER_S)
    fail(outage, names(wanted), wanted=wanted, now=100.0)
    return outage


@pytest.mark.parametrize(
    ("failing", "wanted", "is_outage"),
    [
        (4, 4, False),
        (5, 5, True),
        (5, 10, True),
        (5, 11, False),
        (6, 11, True),
        (5, 100, False),
        (49, 100, False),
        (50, 100, True),
    ],
)
def test_an_outage_is_five_accounts_and_half_of_those_that_are_to_run(
    failing: int, wanted: int, *, is_outage: bool
) -> None:
    outage = Outage(usual_per_s=USUAL_PER_S)
    fail(outage, names(failing), wanted=wanted)
    assert outage.is_on == is_outage
    assert outage.pace_per_s == (1.0 if is_outage else USUAL_PER_S)


def test_one_account_that_fails_often_is_no_outage() -> None:
    outage = Outage(usual_per_s=USUAL_PER_S)
    fail(outage, ["bot-0"] * 50, wanted=6)
    assert not outage.is_on


def test_accounts_that_fail_one_after_the_other_over_a_long_time_are_no_outage() -> None:
    outage = Outage(usual_per_s=USUAL_PER_S)
    fail(outage, names(8), wanted=8, apart_s=WINDOW_S / 3)
    assert not outage.is_on


def test_those_that_have_failed_for_long_do_not_make_an_outage_by_failing_again() -> None:
    outage = Outage(usual_per_s=USUAL_PER_S)
    fail(outage, names(8), wanted=8, apart_s=WINDOW_S)
    fail(outage, names(8), wanted=8, now=9 * WINDOW_S)
    assert not outage.is_on
    for account in names(8):
        outage.proven(account)
    fail(outage, names(8), wanted=8, now=10 * WINDOW_S)
    assert outage.is_on, "they were well, and fail together"


def test_those_that_were_parked_on_the_way_are_counted_among_those_that_are_to_run() -> None:
    outage = Outage(usual_per_s=USUAL_PER_S)
    for number, account in enumerate(names(9)):
        outage.failed(account, "bad_credentials", now=0.0, wanted=set(names(20)[number:]))
    assert not outage.is_on
    outage.failed("bot-9", "bad_credentials", now=0.0, wanted=set(names(20)[9:]))
    assert outage.is_on


def test_each_success_doubles_the_pace_and_each_failure_halves_it() -> None:
    outage = begun()
    paces = [outage.pace_per_s]
    for account in names(4):
        outage.proven(account)
        paces.append(outage.pace_per_s)
    assert paces == [1.0, 2.0, 4.0, 8.0, 16.0]
    fail(outage, ["bot-9"], wanted=20, now=101.0)
    assert outage.pace_per_s == 8.0
    fail(outage, names(20), wanted=20, now=102.0)
    assert outage.pace_per_s == 1.0, "and never falls under the slow one"


def test_it_is_over_at_the_usual_pace() -> None:
    outage = begun(100)
    for account in names(5):
        outage.proven(account)
    assert (outage.is_on, outage.pace_per_s) == (True, 32.0)
    outage.proven("bot-5")
    assert (outage.is_on, outage.pace_per_s, outage.accounts) == (False, USUAL_PER_S, [])


def test_those_that_are_left_over_make_another_one_only_by_failing_again() -> None:
    outage = begun(100)
    for account in names(6):
        outage.proven(account)
    fail(outage, names(100)[6:55], wanted=100, now=101.0)
    assert not outage.is_on
    fail(outage, names(100)[55:56], wanted=100, now=101.0)
    assert (outage.is_on, len(outage.accounts)) == (True, 50)


def test_it_is_over_when_too_few_are_left_in_it() -> None:
    outage = begun(6)
    outage.proven("bot-0")
    assert outage.is_on
    outage.left("bot-1")
    assert (outage.is_on, outage.pace_per_s) == (False, USUAL_PER_S)


def test_who_failed_long_before_is_not_in_it() -> None:
    outage = Outage(usual_per_s=USUAL_PER_S)
    fail(outage, ["old"], wanted=6)
    fail(outage, names(6), wanted=6, now=10 * WINDOW_S)
    assert outage.accounts == names(6)
    assert outage.since == 10 * WINDOW_S


def test_its_reason_is_the_commonest() -> None:
    outage = Outage(usual_per_s=USUAL_PER_S)
    assert outage.reason == ""
    for number, account in enumerate(names(6)):
        reason = "unreachable" if number % 3 else "closed_by_peer"
        outage.failed(account, reason, now=0.0, wanted=set(names(6)))
    assert outage.reason == "unreachable"


def test_where_the_usual_pace_is_slow_the_slow_one_is_slower_still() -> None:
    outage = Outage(usual_per_s=0.5)
    fail(outage, names(10), wanted=10)
    assert outage.pace_per_s == 0.25
    outage.proven("bot-0")
    assert not outage.is_on


@given(st.lists(st.tuples(st.sampled_from(names(12)), st.booleans(), st.floats(0, 20)), max_size=200))
def test_whatever_happens_the_pace_is_in_its_bounds_and_an_outage_has_enough_accounts(
    steps: list[tuple[str, bool, float]],
) -> None:
    outage, now = Outage(usual_per_s=USUAL_PER_S), 0.0
    for account, is_well, wait_s in steps:
        now += wait_s
        if is_well:
            outage.proven(account)
        else:
            outage.failed(account, "unreachable", now=now, wanted=set(names(12)))
        assert 1.0 <= outage.pace_per_s <= USUAL_PER_S
        assert not outage.is_on or len(outage.accounts) >= LEAST_ACCOUNTS
