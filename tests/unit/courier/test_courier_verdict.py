"""What each answer means, and the lack of one."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from longwire.courier.errors import Busy, Failed, Refused
from longwire.courier.http import Answer
from longwire.courier.verdict import (
    DELIVERED,
    Kind,
    Verdict,
    of,
    rest_asked_s,
)
from longwire_protocol.breaker import Event

NOW = 1_700_000_000.0


def verdict(status: int, **headers: str) -> Verdict:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return of(Answer(status, named, b""), now=NOW)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_2xx_delivers(status: int) -> None:
    assert verdict(status) == DELIVERED == Verdict(Kind.DELIVERED, Event.ANSWERED)


def test_a_410_disables_the_target() -> None:
    assert verdict(410) == Verdict(Kind.DISABLED, Event.ANSWERED, reason="answered 410")


@pytest.mark.parametrize("status", [300, 302, 307, 400, 404, 408, 418, 422, 429, 500, 502, 503, 101])
def test_any_other_answer_is_tried_again(status: int) -> None:
    assert verdict(status) == Verdict(Kind.RETRY, Event.FAILED, reason=f"answered {status}")


@pytest.mark.parametrize("status", [429, 503])
def test_who_asks_for_a_rest_gets_it_and_no_event_is_blamed(status: int) -> None:
    assert verdict(status, retry_after="120") == Verdict(
        Kind.RESTS, Event.GIVEN_UP, 120.0, f"answered {status}"
    )


def test_only_429_and_503_can_ask_for_a_rest() -> None:
    assert verdict(500, retry_after="120").kind is Kind.RETRY
    assert verdict(503, retry_after="soon").kind is Kind.RETRY


@pytest.mark.parametrize(
    ("header", "rest_s"),
    [
        ("120", 120.0),
        (" 120 ", 120.0),
        ("0", 1.0),
        ("9" * 5000, 3600.0),
        ("7200", 3600.0),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 1.0),
        (formatdate(NOW + 1e6, usegmt=True), 3600.0),
        ("Wed, 21 Oct 9999 07:28:00 -2359", 3600.0),
        (formatdate(NOW + 90, usegmt=True).replace(" GMT", ""), 90.0),
        ("Wed, 21 Oct 99999999999 07:28:00 GMT", None),
        ("٣", None),
        ("-1", None),
        ("", None),
        (None, None),
        ("1.5", None),
        ("Thu, 99 Foo 2026", None),
    ],
)
def test_a_rest_is_given_in_seconds_or_as_a_date(header: str | None, rest_s: float | None) -> None:
    assert rest_asked_s(header, now=NOW) == (pytest.approx(rest_s) if rest_s is not None else None)


def test_only_the_targets_own_failures_count() -> None:
    assert of(Failed("too slow"), now=NOW) == Verdict(Kind.RETRY, Event.FAILED, reason="too slow")
    assert of(Refused("private"), now=NOW) == Verdict(Kind.REFUSED, Event.GIVEN_UP, reason="private")
    assert of(Busy("full", retry_after_s=1.5), now=NOW) == Verdict(Kind.BUSY, Event.GIVEN_UP, 1.5, "full")
