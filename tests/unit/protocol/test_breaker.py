"""The breaker of a host: when it is asked, when it is left alone, and who may try again."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwire_protocol.breaker import (
    FAILURES,
    NEXT,
    PROBE_WAIT_S,
    REST_S,
    Breaker,
    Event,
    State,
    ask,
    report,
)

NOW = 100.0
OUTCOMES = (Event.ANSWERED, Event.FAILED, Event.GIVEN_UP)


def after(breaker: Breaker, *events: Event, now: float = NOW) -> Breaker:
    """Return the breaker after calls of which each is let through and ends so."""
    for event in events:
        breaker, wait_s = ask(breaker, now=now)
        assert wait_s == 0
        breaker = report(breaker, event, term=breaker.term, now=now)
    return breaker


def opened(*, now: float = NOW) -> Breaker:
    return after(Breaker(), *[Event.FAILED] * FAILURES, now=now)


def test_five_failures_in_a_row_leave_the_host_alone_for_thirty_seconds() -> None:
    assert after(Breaker(), *[Event.FAILED] * 4).state is State.CLOSED
    breaker = opened()
    assert breaker.state is State.OPEN
    assert ask(breaker, now=NOW + 10) == (breaker, 20.0)
    assert (FAILURES, REST_S) == (5, 30.0)


def test_an_answer_in_between_starts_the_count_again() -> None:
    breaker = after(Breaker(), *[Event.FAILED] * 4, Event.ANSWERED, *[Event.FAILED] * 4)
    assert (breaker.state, breaker.failures) == (State.CLOSED, 4)


def test_what_was_given_up_counts_neither_way() -> None:
    breaker = after(Breaker(), *[Event.FAILED] * 4, Event.GIVEN_UP)
    assert (breaker.state, breaker.failures) == (State.CLOSED, 4)


def test_one_call_probes_after_the_rest_and_the_others_are_refused_meanwhile() -> None:
    probing, wait_s = ask(opened(), now=NOW + REST_S)
    assert (probing.state, wait_s) == (State.PROBING, 0.0)
    assert ask(probing, now=NOW + REST_S) == (probing, PROBE_WAIT_S)


@pytest.mark.parametrize(
    ("outcome", "state", "wait_s"),
    [
        (Event.ANSWERED, State.CLOSED, 0.0),
        (Event.FAILED, State.OPEN, REST_S),
        (Event.GIVEN_UP, State.OPEN, 0.0),
    ],
)
def test_a_probe_decides_alone(outcome: Event, state: State, wait_s: float) -> None:
    now = NOW + REST_S
    probing, _ = ask(opened(), now=now)
    breaker = report(probing, outcome, term=probing.term, now=now)
    assert breaker.state is state
    assert ask(breaker, now=now)[1] == wait_s


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_call_from_before_the_last_change_has_no_say(outcome: Event) -> None:
    early = Breaker().term
    breaker = opened()
    assert report(breaker, outcome, term=early, now=NOW + 1) == breaker
    probing, _ = ask(breaker, now=NOW + REST_S)
    assert report(probing, outcome, term=early, now=NOW + REST_S) == probing


def test_the_table_names_each_change_of_state_once_and_none_that_changes_nothing() -> None:
    assert all(before is not then for (before, _), then in NEXT.items())
    still = set(product(State, Event)) - NEXT.keys()
    assert len(still) == len(State) * len(Event) - len(NEXT)
    assert (State.OPEN, Event.FAILED) in still


steps = st.lists(
    st.tuples(st.sampled_from(["ask", *OUTCOMES]), st.floats(min_value=0, max_value=40), st.randoms())
)


@given(steps)
def test_however_calls_come_and_end_a_resting_host_gets_at_most_one_at_a_time(history: list[tuple]) -> None:
    """What is let through while the host rests is one probe at most, never before the rest is over."""
    breaker, now, under_way, opened_at = Breaker(), 0.0, list[int](), 0.0
    for what, passed_s, random in history:
        now += passed_s
        before = breaker
        if what == "ask":
            breaker, wait_s = ask(breaker, now=now)
            if wait_s == 0:
                under_way.append(breaker.term)
                if before.state is not State.CLOSED:
                    assert before.state is State.OPEN
                    assert now >= before.rests_until
            else:
                assert before == breaker
                assert 0 < wait_s <= REST_S
        elif under_way:
            term = under_way.pop(random.randrange(len(under_way)))
            breaker = report(breaker, what, term=term, now=now)
            if before.state is State.CLOSED and breaker.state is State.OPEN:
                opened_at = now
        assert breaker.failures < FAILURES
        assert breaker.term >= before.term
        if breaker.state is State.PROBING:
            assert under_way.count(breaker.term) == 1
            assert now >= opened_at
    for term in under_way:
        breaker = report(breaker, Event.ANSWERED, term=term, now=now)
    assert breaker.state is not State.PROBING
