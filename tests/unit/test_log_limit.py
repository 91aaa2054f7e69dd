"""How often the log may say one thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwire.loglimit import MAX_TOPICS, OF_ACCOUNT, OF_MANY, LogLimit, Topic, topic
from longwire_connectors.senders import MAX_NAMED

FAILED = Topic("acme-lark", "account_state", "info")
HOUR_S = 3600


def said(limit: LogLimit, about: Topic, times: list[float]) -> list[int]:
    """Return the counts of the lines that pass."""
    answers = [limit.admit(about, at) for at in times]
    return [left_out for left_out in answers if left_out is not None]


def test_an_hour_of_attempts_by_the_law_is_said_in_full() -> None:
    delays = [0.1 * 2**n for n in range(9)] + [45.0] * 85  # T10: 11 in the first minute, 95 in the hour
    times = [sum(delays[:n]) for n in range(len(delays))]
    assert said(LogLimit(), FAILED, times) == [0] * len(times)


def test_a_loop_is_said_at_first_and_then_twice_a_minute_with_a_count() -> None:
    passed = said(LogLimit(), FAILED, [0.1 * n for n in range(HOUR_S * 10)])
    assert len(passed) == pytest.approx(OF_ACCOUNT.burst + HOUR_S * OF_ACCOUNT.rate_per_s, abs=1)
    assert passed[: OF_ACCOUNT.burst] == [0] * OF_ACCOUNT.burst
    assert passed[-1] == pytest.approx(299, abs=1)


@given(st.lists(st.floats(min_value=0, max_value=30), max_size=200))
def test_every_line_passes_or_is_counted(gaps: list[float]) -> None:
    limit, now, passed, counted = LogLimit(), 0.0, 0, 0
    for gap in gaps:
        now += gap
        left_out = limit.admit(FAILED, now)
        if left_out is not None:
            passed, counted = passed + 1, counted + left_out
    counted += sum(count for _, count in limit.ended(now, quiet_s=0.0))
    assert passed + counted == len(gaps)


def test_accounts_events_and_levels_are_apart() -> None:
    limit = LogLimit()
    said(limit, FAILED, [0.0] * 100)
    assert limit.admit(FAILED, 0.0) is None
    for other in (
        FAILED._replace(account="beta"),
        FAILED._replace(event="child_exited"),
        FAILED._replace(level="error"),
        FAILED._replace(state="online"),
    ):
        assert limit.admit(other, 0.0) == 0


@pytest.mark.parametrize(
    "about",
    [
        Topic(None, "reload_refused", "error"),
        Topic("acme-lark", "output", "info"),
        Topic("acme-lark", "", "error"),
        Topic("acme-lark", "sender_refused", "info"),
    ],
)
def test_what_has_many_subjects_may_be_said_more_often(about: Topic) -> None:
    assert len(said(LogLimit(), about, [0.0] * 1000)) == OF_MANY.burst


def test_all_senders_that_a_child_names_in_an_hour_can_be_read_though_they_come_at_once() -> None:
    refused = Topic("acme-lark", "sender_refused", "info")
    assert said(LogLimit(), refused, [0.0] * MAX_NAMED) == [0] * MAX_NAMED


def test_what_is_said_no_more_is_counted_once() -> None:
    limit = LogLimit()
    said(limit, FAILED, [0.0] * (OF_ACCOUNT.burst + 7))
    assert limit.ended(59.0) == []
    assert limit.ended(60.0) == [(FAILED, 7)]
    assert limit.ended(61.0) == []
    assert limit.admit(FAILED, 62.0) == 0


def test_what_goes_on_is_not_said_to_have_ended() -> None:
    limit = LogLimit()
    said(limit, FAILED, [0.0] * 100)
    limit.admit(FAILED, 20.0)
    assert limit.ended(70.0) == []
    assert limit.ended(80.0) == [(FAILED, 81)]


def test_the_table_is_bounded_and_what_it_forgets_is_counted() -> None:
    limit = LogLimit(max_topics=2)
    said(limit, FAILED, [0.0] * (OF_ACCOUNT.burst + 3))
    for name in ("a", "b", "c"):
        assert limit.admit(FAILED._replace(account=name), 1.0) == 0
    assert limit.ended(1.0) == [(None, 3)]
    assert limit.ended(1.0) == []
    assert limit.admit(FAILED, 1.0) == 0, "forgotten, so it is news"
    assert len(limit._entries) == 2


def test_the_longest_silent_topic_is_forgotten_first() -> None:
    limit = LogLimit(max_topics=2)
    other = FAILED._replace(account="other")
    said(limit, FAILED, [0.0] * 100)
    limit.admit(other, 1.0)
    limit.admit(FAILED, 2.0)
    limit.admit(FAILED._replace(account="third"), 3.0)
    assert limit.admit(FAILED, 3.0) is None


def test_a_thousand_accounts_fit() -> None:
    assert MAX_TOPICS >= 1000 * 12


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"event": "child_exited", "account": "a", "level": "info"}, Topic("a", "child_exited", "info")),
        ({"event": "output", "template": "lark", "level": "info"}, Topic("lark", "output", "info")),
        ({"event": "supervisor_started", "level": "info"}, Topic(None, "supervisor_started", "info")),
        ({"event": "Task 17 failed", "account": "a", "level": "error"}, Topic("a", "", "error")),
        (
            {"event": "account_state", "account": "a", "level": "info", "state": "online"},
            Topic("a", "account_state", "info", "online"),
        ),
        ({"event": "x" * 65, "account": 3}, Topic(None, "", "")),
        ({}, Topic(None, "", "")),
    ],
)
def test_the_topic_is_told_by_the_fields(fields: dict[str, object], expected: Topic) -> None:
    assert topic(fields) == expected
