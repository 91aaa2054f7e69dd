"""What is known of a call under way."""

from __future__ import annotations

import pytest

from longwire_connectors.asking import FAIR_S, Asked, Attempt


@pytest.mark.parametrize(
    ("given_s", "is_queued", "was_given"),
    [(FAIR_S, False, True), (FAIR_S - 0.1, False, False), (FAIR_S, True, False)],
)
def test_a_host_is_judged_by_a_timeout_only_if_it_was_asked_and_had_time(
    given_s: float, *, is_queued: bool, was_given: bool
) -> None:
    asked = Asked(method="GET", url="https://h/", total_s=15.0, is_harmless=True)
    attempt = Attempt(asked, ends_at=100.0 + given_s, asked_at=100.0, is_queued=is_queued)
    assert attempt.was_host_given_time is was_given
