"""A call without an answer: whether it may have had an effect, and whether to ask again."""

from __future__ import annotations

import pytest

from longwire_connectors.asking import Asked, Reply
from longwire_connectors.unanswered import broken_inside, half_done, resting, too_long, unanswered
from longwire_protocol.errors import CommandError, RetCode


@pytest.mark.parametrize(
    ("was_sent", "is_harmless", "retcode", "is_retryable"),
    [
        (False, False, RetCode.PLATFORM_UNREACHABLE, True),
        (False, True, RetCode.PLATFORM_UNREACHABLE, True),
        (True, True, RetCode.PLATFORM_UNREACHABLE, True),
        (True, False, RetCode.DEADLINE_EXCEEDED, False),
    ],
)
def test_only_what_was_sent_and_changes_something_is_uncertain(
    retcode: RetCode, *, was_sent: bool, is_harmless: bool, is_retryable: bool
) -> None:
    error = unanswered("it broke off", was_sent=was_sent, is_harmless=is_harmless)
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
    harmless = too_long("h", max_bytes=10, is_harmless=True)
    assert (harmless.retcode, harmless.retryable) == (RetCode.PLATFORM_UNREACHABLE, False)
    effective = too_long("h", max_bytes=10, is_harmless=False)
    assert (effective.retcode, effective.retryable) == (RetCode.DEADLINE_EXCEEDED, False)


def test_what_is_shown_of_a_url_holds_neither_password_nor_query() -> None:
    asked = Asked(method="GET", url="https://u:p@h.example:8/path?token=x", total_s=1, is_harmless=True)
    assert (asked.host, asked.origin) == ("h.example:8", "https://h.example:8")


@pytest.mark.parametrize(
    ("status", "is_harmless", "retcode", "wait_ms"),
    [
        (500, False, RetCode.DEADLINE_EXCEEDED, None),
        (502, True, RetCode.PLATFORM_UNREACHABLE, 2000),
        (503, False, RetCode.PLATFORM_UNREACHABLE, 2000),
    ],
)
def test_a_server_that_broke_in_the_middle_may_have_done_it(
    status: int, retcode: RetCode, wait_ms: int | None, *, is_harmless: bool
) -> None:
    error = broken_inside(
        "busy", status=status, is_harmless=is_harmless, wait_s=2.0, platform_code="systemError"
    )
    assert (error.retcode, error.retry_after_ms) == (retcode, wait_ms)
    assert error.data == {"http_status": status, "platform_code": "systemError"}


@pytest.mark.parametrize(
    ("wait_s", "code", "retcode"),
    [
        (None, None, RetCode.DEADLINE_EXCEEDED),  # as of a gateway that lost sight of its server
        (2.0, None, RetCode.PLATFORM_UNREACHABLE),
        (None, 0, RetCode.PLATFORM_UNREACHABLE),
        (None, "ServiceUnavailable", RetCode.PLATFORM_UNREACHABLE),
    ],
)
def test_a_503_had_no_effect_only_where_the_platform_itself_says_it(
    wait_s: float | None, code: object, retcode: RetCode
) -> None:
    error = broken_inside("busy", status=503, is_harmless=False, wait_s=wait_s, platform_code=code)
    assert error.retcode == retcode
    harmless = broken_inside("busy", status=503, is_harmless=True, wait_s=wait_s, platform_code=code)
    assert (harmless.retcode, harmless.retryable) == (RetCode.PLATFORM_UNREACHABLE, True)
    assert harmless.retry_after_ms == (None if wait_s is None else 2000)


def test_a_command_whose_second_step_fails_is_uncertain_whatever_that_says() -> None:
    refused = CommandError(RetCode.PLATFORM_REFUSED, "no", retryable=True, data={"platform_code": 1})
    error = half_done(refused)
    assert (error.retcode, error.retryable) == (RetCode.DEADLINE_EXCEEDED, False)
    assert error.data == {"platform_code": 1}
    assert "no" in error.message


@pytest.mark.parametrize(
    ("body", "read"), [(b'{"a": 1}', {"a": 1}), (b"[1]", None), (b"<html>", None), (b"[" * 100_000, None)]
)
def test_a_body_that_is_no_json_object_is_none(body: bytes, read: dict[str, int] | None) -> None:
    assert Reply(200, {}, body).json() == read
