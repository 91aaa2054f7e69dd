"""A call without an answer: whether it may have had an effect, and whether to ask again."""

from __future__ import annotations

import pytest

from longwire_connectors.asking import Asked
from longwire_connectors.unanswered import resting, too_long, unanswered
from longwire_protocol.errors import RetCode


@pytest.mark.parametrize(
    ("was_sent", "is_repeatable", "retcode", "is_retryable"),
    [
        (False, False, RetCode.PLATFORM_UNREACHABLE, True),
        (False, True, RetCode.PLATFORM_UNREACHABLE, True),
        (True, True, RetCode.PLATFORM_UNREACHABLE, True),
        (True, False, RetCode.DEADLINE_EXCEEDED, False),
    ],
)
def test_only_what_was_sent_and_cannot_be_repeated_is_uncertain(
    retcode: RetCode, *, was_sent: bool, is_repeatable: bool, is_retryable: bool
) -> None:
    error = unanswered("it broke off", was_sent=was_sent, is_repeatable=is_repeatable)
    assert (error.retcode, error.retryable) == (retcode, is_retryable)
    assert ("the effect is unknown" in error.message) == (retcode is RetCode.DEADLINE_EXCEEDED)
    assert error.data == {"was_sent": was_sent}


def test_a_host_that_rests_was_not_asked_and_says_when_to_come_again() -> None:
    error = resting("h", wait_s=12.3456)
    assert (error.retcode, error.retryable, error.retry_after_ms) == (
        RetCode.PLATFORM_UNREACHABLE,
        True,
        12346,
    )
    assert resting("h", wait_s=1e-9).retry_after_ms == 1


def test_an_answer_over_the_bound_is_not_asked_for_again() -> None:
    harmless = too_long("h", max_bytes=10, is_repeatable=True)
    assert (harmless.retcode, harmless.retryable) == (RetCode.PLATFORM_UNREACHABLE, False)
    effective = too_long("h", max_bytes=10, is_repeatable=False)
    assert (effective.retcode, effective.retryable) == (RetCode.DEADLINE_EXCEEDED, False)


def test_what_is_shown_of_a_url_holds_neither_password_nor_query() -> None:
    asked = Asked(method="GET", url="https://u:p@h.example:8/path?token=x", total_s=1, is_repeatable=True)
    assert (asked.host, asked.origin) == ("h.example:8", "https://h.example:8")
