"""When many accounts fail together, and when that is over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwire.outage import LEAST_ACCOUNTS, PATIENCE_S, TRIES, WINDOW_S, Outage

USUAL_PER_S = 50.0


def names(count: int) -> list[str]:
    return [f"bot-{number}" for number in range(count)]


def an_outage(wanted: int, *, usual_per_s: float = USUAL_PER_S) -> Outage:
    """Return what is known when nobody failed yet: so many are to run."""
    outage = Outage(usual_per_s=usual_per_s)
    for account in names(wanted):
        outage.seen(account, is_wanted=True, is_up=False)
    return outage


def fail(
    outage: Outage, failing: list[str], *, now: float = 0.0, apart_s: float = 0.0, is_refused: bool = False
) -> list[bool]:
    """Let them fail; return whether each was excused."""
    return [
        outage.failed(account, "connection_lost", now=now + number * apart_s, is_refused=is_refused)
        for number, account in enumerate(failing)
    ]


def park(outage: Outage, accounts: list[str], *, now: float = 0.0) -> list[bool]:
    """Let the platform refuse them for good, which parks them without an outage; return whether one was."""
    excused: list[bool] = []
    for account in accounts:
        excused.append(outage.failed(account, "bad_credentials", now=now, is_refused=True))
        outage.seen(account, is_wanted=excused[-1], is_up=False)
    return excused


def begun(wanted: int = 20) -> Outage:
    outage = an_outage(wanted)
    fail(outage, names(wanted), now=100.0)
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
    outage = an_outage(wanted)
    fail(outage, names(failing))
    assert outage.is_on == is_outage
    assert outage.pace_per_s == (1.0 if is_outage else USUAL_PER_S)


def test_one_account_that_fails_often_is_no_outage() -> None:
    outage = an_outage(6)
    fail(outage, ["bot-0"] * 50)
    assert not outage.is_on


def test_accounts_that_fail_one_after_the_other_over_a_long_time_are_no_outage() -> None:
    outage = an_outage(8)
    fail(outage, names(8), apart_s=WINDOW_S / 3)
    assert not outage.is_on


def test_those_that_have_failed_for_long_do_not_make_an_outage_by_failing_again() -> None:
    outage = an_outage(8)
    fail(outage, names(8), apart_s=WINDOW_S)
    fail(outage, names(8), now=9 * WINDOW_S)
    assert not outage.is_on
    for account in names(8):
        outage.proven(account)
    fail(outage, names(8), now=10 * WINDOW_S)
    assert outage.is_on, "they were well, and fail together"


def test_those_that_were_parked_on_the_way_are_counted_among_those_that_are_to_run() -> None:
    outage = an_outage(20)
    for account in names(9):
        fail(outage, [account])
        park(outage, [account])
    assert not outage.is_on
    fail(outage, names(10)[9:])
    assert outage.is_on


def test_who_is_up_or_not_to_run_is_heard_of_at_once() -> None:
    outage = an_outage(12)
    for account in names(12)[10:]:
        outage.left(account)
    fail(outage, names(5))
    assert outage.is_on, "five of ten"


# Refusals for good.


@pytest.mark.parametrize(("refused", "is_outage"), [(5, False), (8, False), (9, True), (10, True)])
def test_where_all_heard_nothing_but_a_refusal_nearly_all_must(refused: int, *, is_outage: bool) -> None:
    outage = an_outage(10)
    assert park(outage, names(refused))[-1] == is_outage
    assert outage.is_on == is_outage


def test_while_a_link_is_up_refusals_alone_are_no_outage() -> None:
    outage = an_outage(10)
    outage.proven("bot-9")
    outage.seen("bot-9", is_wanted=True, is_up=True)
    assert not any(park(outage, names(9)))
    outage.seen("bot-9", is_wanted=True, is_up=False)
    assert park(outage, ["bot-0"]) == [True], "but its process ended, and with it what it said"


def test_who_was_cut_before_it_was_refused_makes_one_beside_links_that_stay() -> None:
    outage = an_outage(8)
    for account in names(8):
        outage.proven(account)
    for account in names(5):
        excused = (fail(outage, [account]), park(outage, [account]))
    assert excused == ([True], [True])


def test_a_refusal_of_one_that_was_never_online_counts_for_nothing() -> None:
    outage = an_outage(10)
    for account in names(10):
        assert not outage.failed(account, "bad_credentials", now=0.0, is_refused=True, was_online=False)
    fail(outage, names(6))
    pace = outage.pace_per_s
    assert outage.failed("bot-9", "bad_credentials", now=0.0, is_refused=True, was_online=False)
    assert (outage.pace_per_s, "bot-9" in outage.accounts) == (pace, False)
    outage.proven("bot-8")
    assert not outage.failed("bot-9", "bad_credentials", now=0.0, is_refused=True, was_online=False)


def test_refusals_are_excused_for_some_minutes_only() -> None:
    outage = begun(8)
    assert all(park(outage, names(8), now=100.0 + PATIENCE_S - 1))
    assert park(outage, names(8), now=100.0 + PATIENCE_S) == [False] * 8
    assert not outage.is_on


def test_beside_a_link_that_was_made_a_refusal_is_believed_the_third_time() -> None:
    outage = begun(10)
    outage.proven("bot-9")
    assert [park(outage, ["bot-0"], now=101.0) for _ in range(TRIES)] == [[True], [True], [False]]
    assert "bot-0" not in outage.accounts


# How it ends.


def test_a_link_that_was_there_before_says_nothing_for_some_minutes() -> None:
    outage = an_outage(10)
    for account in names(10):
        outage.proven(account)
    fail(outage, names(6))
    for _ in range(TRIES):
        fail(outage, names(6), now=PATIENCE_S - 1)
    assert len(outage.accounts) == 6
    for _ in range(TRIES):
        fail(outage, names(6), now=PATIENCE_S)
    assert not outage.is_on


def test_who_fails_beside_a_link_that_stands_leaves_and_makes_no_other_outage_until_it_was_well() -> None:
    outage = begun(10)
    outage.proven("bot-9")
    for _ in range(TRIES):
        fail(outage, names(9), now=101.0)
    assert not outage.is_on
    assert fail(outage, names(9), now=102.0) == [False] * 9
    for account in names(9):
        outage.proven(account)
    fail(outage, names(9), now=103.0)
    assert outage.is_on


def test_a_link_of_an_earlier_outage_says_nothing_in_the_next_one() -> None:
    outage = begun(100)
    for account in names(6):
        outage.proven(account)
    fail(outage, names(100)[6:], now=101.0)
    for _ in range(2 * TRIES):
        assert park(outage, ["bot-99"], now=102.0) == [True]
    assert "bot-99" in outage.accounts


def test_nobody_enters_beside_a_link_that_stands_and_when_it_falls_they_do() -> None:
    outage = begun(20)
    outage.proven("bot-0")
    outage.proven("bot-1")
    assert fail(outage, ["bot-1"], now=101.0) == [False]
    assert "bot-1" not in outage.accounts
    assert fail(outage, ["bot-0"], now=101.0) == [True]
    assert fail(outage, ["bot-1"], now=101.0) == [True]
    assert {"bot-0", "bot-1"} <= outage.accounts


def test_who_was_failing_for_long_halves_no_pace() -> None:
    outage = an_outage(8)
    fail(outage, ["bot-7"])
    fail(outage, names(6), now=100.0)
    for account in names(3):
        outage.seen(account, is_wanted=True, is_up=False)
    outage.proven("bot-6")
    outage.seen("bot-6", is_wanted=True, is_up=False)
    assert outage.pace_per_s == 2.0
    assert fail(outage, ["bot-7"], now=101.0) == [True]
    assert outage.pace_per_s == 2.0


def test_each_success_doubles_the_pace_and_each_failure_halves_it() -> None:
    outage = begun()
    paces = [outage.pace_per_s]
    for account in names(4):
        outage.proven(account)
        paces.append(outage.pace_per_s)
    assert paces == [1.0, 2.0, 4.0, 8.0, 16.0]
    fail(outage, ["bot-9"], now=101.0)
    assert outage.pace_per_s == 8.0
    fail(outage, names(20), now=102.0)
    assert outage.pace_per_s == 1.0, "and never falls under the slow one"


def test_it_is_over_at_the_usual_pace() -> None:
    outage = begun(100)
    for account in names(5):
        outage.proven(account)
    assert (outage.is_on, outage.pace_per_s) == (True, 32.0)
    outage.proven("bot-5")
    assert (outage.is_on, outage.pace_per_s, outage.accounts) == (False, USUAL_PER_S, frozenset())


def test_those_that_are_left_over_make_another_one_only_by_failing_again() -> None:
    outage = begun(100)
    for account in names(6):
        outage.proven(account)
    fail(outage, names(100)[6:55], now=101.0)
    assert not outage.is_on
    fail(outage, names(100)[55:56], now=101.0)
    assert (outage.is_on, len(outage.accounts)) == (True, 50)


def test_it_is_over_when_too_few_are_left_in_it() -> None:
    outage = begun(6)
    outage.proven("bot-0")
    assert outage.is_on
    outage.left("bot-1")
    assert (outage.is_on, outage.pace_per_s) == (False, USUAL_PER_S)


def test_who_failed_long_before_is_not_in_it() -> None:
    outage = an_outage(6)
    fail(outage, ["old"])
    fail(outage, names(6), now=10 * WINDOW_S)
    assert list(outage.accounts) == names(6)
    assert outage.since == 10 * WINDOW_S


def test_who_fails_beside_it_like_those_who_leave_it_makes_no_other_one() -> None:
    outage = an_outage(12)
    fail(outage, names(6))
    outage.proven("bot-11")
    for minute in range(1, 5):
        fail(outage, names(8), now=60.0 * minute)
    assert not outage.is_on


def test_its_reason_is_the_commonest() -> None:
    outage = an_outage(6)
    assert outage.reason == ""
    for number, account in enumerate(names(6)):
        reason = "unreachable" if number % 3 else "closed_by_peer"
        outage.failed(account, reason, now=0.0)
    assert outage.reason == "unreachable"


def test_where_the_usual_pace_is_slow_the_slow_one_is_slower_still() -> None:
    outage = an_outage(10, usual_per_s=0.5)
    fail(outage, names(10))
    assert outage.pace_per_s == 0.25
    outage.proven("bot-0")
    assert not outage.is_on


Steps = list[tuple[str, str, float]]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(names(12)),
        st.sampled_from(["proven", "lost", "refused", "ended", "left"]),
        st.floats(0, 40),
    ),
    max_size=200,
)


def play(outage: Outage, steps: Steps) -> float:
    """Let it all happen, and look at what must be so at any time; return when it is over."""
    now = 0.0
    for account, what, wait_s in steps:
        now += wait_s
        match what:
            case "proven":
                outage.proven(account)
            case "ended":
                outage.seen(account, is_wanted=True, is_up=False)
            case "left":
                outage.left(account)
            case _:
                outage.failed(account, what, now=now, is_refused=what == "refused")
        assert 1.0 <= outage.pace_per_s <= USUAL_PER_S
        assert not outage.is_on or len(outage.accounts) >= LEAST_ACCOUNTS
    return now


@given(STEPS)
def test_whatever_happens_the_pace_is_in_its_bounds_and_an_outage_has_enough_accounts(steps: Steps) -> None:
    play(an_outage(12), steps)


@pytest.mark.parametrize("why", ["refused", "lost"])
@given(steps=STEPS, order=st.permutations(names(12)), dead=st.integers(0, 12))
def test_when_all_succeed_but_some_that_never_will_it_ends_and_never_comes_back(
    why: str, steps: Steps, order: list[str], dead: int
) -> None:
    """Each asks once a minute, but who is up or parked; who is refused is parked, if that is not excused."""
    outage, ill = an_outage(12), set(names(dead))
    begin = play(outage, steps)
    parked, up = set[str](), set[str]()
    rounds = int(PATIENCE_S // 60) + 1 + TRIES
    for number in range(1, rounds + 30):
        for account in (account for account in order if account not in parked | up):
            if account not in ill:
                up.add(account)
                outage.proven(account)
                continue
            was_on = outage.is_on
            if not outage.failed(account, why, now=begin + 60 * number, is_refused=why == "refused"):
                parked |= {account} if why == "refused" else set()
            if outage.is_on and not was_on:
                parked -= outage.accounts
            for other in ill:
                outage.seen(other, is_wanted=other not in parked, is_up=False)
        is_hopeless = why == "lost" and not up
        assert number < rounds or is_hopeless or not outage.is_on
    assert parked == (ill if why == "refused" else set())
