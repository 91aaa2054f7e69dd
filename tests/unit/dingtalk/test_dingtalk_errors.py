"""What DingTalk's answers mean."""

import json
import re
from pathlib import Path

import pytest

from longwire_connectors.dingtalk import errors
from longwire_connectors.dingtalk.errors import Answer, Grant
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.link import Fault, LinkFailure


def answer(status: int, *, code: object = None, retry_after: str | None = None) -> Answer:
    body = {} if code is None else {"requestid": "R", "code": code, "message": "client_secret ticket"}
    return Answer(status, json.dumps(body).encode(), retry_after)


OPENING = [
    (answer(401, code="authFailed"), Fault.PERMANENT, "bad_credentials", "authFailed"),
    (Answer(401, b"<html>"), Fault.PERMANENT, "bad_credentials", "401"),
    (answer(400, code="invalidClientIdOrSecret"), Fault.PERMANENT, "bad_credentials", None),
    (answer(400, code="systemError"), Fault.TRANSIENT, "discovery_refused", "systemError"),
    (answer(400, code="InvalidParameter"), Fault.TRANSIENT, "unknown_refusal", "InvalidParameter"),
    (answer(403), Fault.TRANSIENT, "unknown_refusal", "403"),
    (answer(403, code="Forbidden.AccessDenied.QpsLimitForApi"), Fault.LIMITED, "rate_limited", None),
    (answer(404), Fault.TRANSIENT, "unknown_refusal", "404"),
    (answer(429), Fault.LIMITED, "rate_limited", "429"),
    (answer(302), Fault.TRANSIENT, "unknown_refusal", "302"),
    (answer(500, code="authFailed client_id"), Fault.TRANSIENT, "discovery_refused", "500"),
    (answer(503), Fault.TRANSIENT, "discovery_refused", "503"),
]


@pytest.mark.parametrize(("given", "fault", "reason", "code"), OPENING)
def test_a_refused_opening_is_judged_by_status_and_code(
    given: Answer, fault: Fault, reason: str, code: str | None
) -> None:
    failure = errors.judge_opening(given, None)
    assert isinstance(failure, LinkFailure)
    assert (failure.fault, failure.reason) == (fault, reason)
    assert failure.error_code == (code or given.code)
    assert (failure.user_action is not None) == (fault is Fault.PERMANENT)
    assert (failure.user_action_zh is not None) == (fault is Fault.PERMANENT)
    assert "ticket" not in failure.message


def test_every_code_of_the_tables_is_in_the_operators_document() -> None:
    document = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")
    for reason, codes in {
        "bad_credentials": {"401", *errors.CREDENTIAL_CODES},
        "discovery_refused": errors.BUSY_CODES,
    }.items():
        (row,) = re.findall(rf"^\| `{reason}` \|.+$", document, re.MULTILINE)
        assert [code for code in codes if code not in row] == []


def test_a_grant_needs_endpoint_and_ticket() -> None:
    ok = Answer(200, b"")
    grant = errors.judge_opening(ok, {"endpoint": "wss://x", "ticket": "secret-ticket", "more": 1})
    assert grant == Grant("wss://x", "secret-ticket")
    assert "secret" not in repr(grant)
    bad = (None, [], {"endpoint": "wss://x"}, {"endpoint": "", "ticket": "t"}, {"endpoint": 1, "ticket": "t"})
    for granted in bad:
        failure = errors.judge_opening(ok, granted)
        assert isinstance(failure, LinkFailure)
        assert (failure.fault, failure.reason) == (Fault.TRANSIENT, "discovery_bad_answer")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("999999", 3600.0),
        ("Wed, 21 Oct", None),
        ("-1", None),
        ("²", None),
        (None, None),
    ],
)
def test_retry_after_is_taken_in_seconds(header: str | None, expected: float | None) -> None:
    assert answer(429, retry_after=header).retry_after_s == expected
    failure = errors.judge_opening(answer(429, retry_after=header), None)
    assert isinstance(failure, LinkFailure)
    assert failure.retry_after_s == expected


def test_a_code_that_is_no_name_is_not_shown() -> None:
    assert answer(400, code="two words").code is None
    assert answer(400, code="x" * 81).code is None
    assert Answer(200, b'{"errcode": 130101}').code == "130101"
    assert Answer(200, b"\xff").code is None
    assert Answer(200, b"[" * 100_000).code is None


def test_an_opening_without_an_answer_is_transient() -> None:
    slow = errors.opening_failed(is_timeout=True)
    lost = errors.opening_failed(is_timeout=False, error="ConnectionError")
    assert (slow.fault, slow.reason) == (Fault.TRANSIENT, "discovery_timeout")
    assert (lost.fault, lost.reason) == (Fault.TRANSIENT, "discovery_unreachable")
    assert "ConnectionError" in lost.message
    assert errors.opening_failed(is_timeout=False).message.endswith("(no answer)")


def test_a_refused_handshake_is_never_permanent() -> None:
    used = errors.handshake_failed(status=401)
    assert (used.fault, used.reason, used.error_code) == (Fault.TRANSIENT, "ticket_refused", "401")
    assert errors.handshake_failed(status=502).reason == "handshake_refused"
    assert errors.handshake_failed(status=404).reason == "unknown_refusal"
    limited = errors.handshake_failed(status=429, retry_after="3")
    assert (limited.fault, limited.retry_after_s) == (Fault.LIMITED, 3.0)
    assert errors.handshake_failed(status=None, error="OSError").reason == "handshake_failed"
    assert errors.handshake_timed_out().reason == "handshake_timeout"


def test_the_end_of_a_connection_is_judged_by_its_close_frames() -> None:
    peer = errors.closed(received=1000, sent=1000)
    assert (peer.fault, peer.reason, peer.error_code) == (Fault.TRANSIENT, "closed_by_peer", "1000")
    assert errors.closed(received=None, sent=1009).reason == "frame_too_large"
    assert errors.closed(received=None, sent=None).reason == "connection_lost"
    assert errors.silent(60.0).reason == "link_timeout"
    assert errors.handed_over().fault is Fault.HANDOVER


def test_a_refused_command_carries_the_platforms_code() -> None:
    refused = errors.command_refused(answer(400, code="invalidParameter"))
    assert (refused.retcode, refused.retryable) == (RetCode.PLATFORM_REFUSED, False)
    assert refused.data == {"platform_code": "invalidParameter", "http_status": 400}
    limited = errors.command_refused(Answer(200, b'{"errcode": 130101}'))
    assert (limited.retcode, limited.retry_after_ms) == (RetCode.PLATFORM_LIMITED, 600_000)
    assert errors.command_refused(answer(429)).retry_after_ms == 1000


@pytest.mark.parametrize(
    "code",
    ["Throttling", "Throttling.User", "90018", "90030", "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"],
)
def test_a_limit_is_known_by_its_code(code: str) -> None:
    limited = errors.command_refused(answer(403, code=code))
    assert (limited.retcode, limited.retry_after_ms) == (RetCode.PLATFORM_LIMITED, 1000)


@pytest.mark.parametrize(
    ("code", "whose"), [("130101", "chat"), ("90030", "chat"), ("90018", None), ("Throttling.User", None)]
)
def test_a_limit_of_a_webhook_is_its_chats_and_any_other_the_apps(code: str, whose: str | None) -> None:
    limited = errors.command_refused(answer(403, code=code))
    assert limited.data is not None
    assert limited.data.get("limit") == whose


@pytest.mark.parametrize(
    ("given", "is_success", "is_token_refused"),
    [
        (Answer(200, b"{}"), True, False),
        (Answer(204, b""), True, False),
        (Answer(200, b'{"errcode": 0}'), True, False),
        (Answer(200, b'{"errcode": "0"}'), True, False),
        (Answer(200, b'{"errcode": 40014}'), False, True),
        (Answer(200, b'{"errcode": 88, "sub_code": "40014"}'), False, True),
        (Answer(200, b'{"errcode": 88, "sub_code": "60011"}'), False, False),
        (Answer(400, b'{"code": "InvalidAuthentication"}'), False, True),
        (Answer(401, b""), False, True),
        (Answer(302, b""), False, False),
    ],
)
def test_success_and_a_refused_token_are_told_on_both_hosts(
    *, given: Answer, is_success: bool, is_token_refused: bool
) -> None:
    assert (given.is_success, given.is_token_refused) == (is_success, is_token_refused)


def test_an_unreadable_answer_leaves_the_effect_unknown() -> None:
    assert errors.command_unreadable().retcode == RetCode.DEADLINE_EXCEEDED
    repeatable = errors.command_unreadable(is_harmless=True)
    assert (repeatable.retcode, repeatable.retryable) == (RetCode.PLATFORM_UNREACHABLE, True)


def test_the_end_of_a_session_is_known_by_its_code() -> None:
    assert errors.is_session_over(errors.command_refused(Answer(200, b'{"errcode": 300001}')))
    assert not errors.is_session_over(errors.command_refused(Answer(200, b'{"errcode": 130101}')))
    assert not errors.is_session_over(CommandError(RetCode.BAD_PARAM, "no data"))


@pytest.mark.parametrize(
    ("given", "is_broken"),
    [
        (Answer(500, b""), True),
        (Answer(400, b'{"code": "systemError"}'), True),
        (Answer(200, b'{"errcode": -1}'), True),
        (Answer(400, b'{"code": "invalidParameter"}'), False),
        (Answer(200, b'{"errcode": 0}'), False),
    ],
)
def test_the_platforms_own_trouble_is_no_refusal(*, given: Answer, is_broken: bool) -> None:
    assert given.is_broken is is_broken
