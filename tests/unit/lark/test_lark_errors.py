"""The platform's codes as failures."""

import re
from pathlib import Path

import pytest

from longwire_connectors.lark import errors
from longwire_connectors.lark.errors import REFUSALS, Answer, Failures
from longwire_protocol.link import Fault

SECRET = "a-made-up-secret"
FAILURES = Failures(secrets=(SECRET,))
OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"

PERMANENT, TRANSIENT, LIMITED = Fault.PERMANENT, Fault.TRANSIENT, Fault.LIMITED

DISCOVERY = [
    # HTTP status, code in the body, what it is, its reason
    (200, 10003, PERMANENT, "bad_credentials"),
    (200, 10014, PERMANENT, "bad_credentials"),
    (200, 10015, PERMANENT, "bad_credentials"),
    (200, 20002, PERMANENT, "bad_credentials"),
    (200, 20048, PERMANENT, "bad_credentials"),
    (200, 99991543, PERMANENT, "bad_credentials"),
    (400, 99991543, PERMANENT, "bad_credentials"),
    (200, 1000040344, PERMANENT, "bad_credentials"),
    (200, 1000040345, PERMANENT, "bad_credentials"),
    (200, 1000040346, PERMANENT, "bad_credentials"),
    (200, 1000040351, PERMANENT, "wrong_domain"),
    (200, 20009, PERMANENT, "app_unavailable"),
    (200, 20069, PERMANENT, "app_unavailable"),
    (200, 99991662, PERMANENT, "app_unavailable"),
    (200, 99991673, PERMANENT, "app_unavailable"),
    (200, 1000040347, PERMANENT, "app_not_supported"),
    (200, 1000040350, LIMITED, "too_many_connections"),
    (200, 99991400, LIMITED, "rate_limited"),
    (400, 99991400, LIMITED, "rate_limited"),
    (429, 429, LIMITED, "rate_limited"),
    (429, None, LIMITED, "rate_limited"),
    (200, 1, TRANSIENT, "platform_busy"),
    (200, 1000040343, TRANSIENT, "platform_busy"),
    (500, 500, TRANSIENT, "platform_busy"),
    (502, None, TRANSIENT, "platform_busy"),
    (503, 10014, TRANSIENT, "platform_busy"),  # a gateway in trouble is not believed
    (200, None, TRANSIENT, "bad_discovery_answer"),
    (200, 1000040399, TRANSIENT, "unknown_refusal"),
    (200, 99991672, TRANSIENT, "unknown_refusal"),  # a missing scope concerns other calls
    (200, 99991674, TRANSIENT, "unknown_refusal"),
    (400, 9499, TRANSIENT, "unknown_refusal"),
    (403, None, TRANSIENT, "unknown_refusal"),
    (404, None, TRANSIENT, "unknown_refusal"),
]


@pytest.mark.parametrize(("status", "code", "fault", "reason"), DISCOVERY)
def test_discovery_is_judged_by_status_and_code_whatever_its_text_says(
    status: int, code: int | None, fault: Fault, reason: str
) -> None:
    failure = FAILURES.discovery(Answer(status, code), "app_id is invalid, secret forbidden")
    assert (failure.fault, failure.reason) == (fault, reason)
    if reason != "bad_discovery_answer":
        assert failure.error_code == str(status if code is None else code)
    if fault is PERMANENT:
        assert failure.user_action
        assert re.search(r"[\u4e00-\u9fff]", failure.user_action_zh or "")


def test_every_final_code_is_in_the_table_and_in_the_operators_document() -> None:
    assert {code for _, code, fault, _ in DISCOVERY if fault is PERMANENT} == set(REFUSALS)
    document = OPERATIONS.read_text(encoding="utf-8")
    for code, refusal in REFUSALS.items():
        (row,) = re.findall(rf"^\| `{refusal.reason}` \|.+$", document, re.MULTILINE)
        assert re.search(rf"\b{code}\b", row), f"{code} is not in the row of {refusal.reason}"


@pytest.mark.parametrize(
    ("body", "waits", "expected"),
    [
        (b'{"code":10014,"msg":"x"}', (), Answer(200, 10014, said="x")),
        (b'{"code":10014,"msg":7}', (), Answer(200, 10014)),
        (b'{"code":"10014"}', (), Answer(200)),
        (b"<html>", (), Answer(200)),
        (b"\xff", (), Answer(200)),
        (b'{"code":99991400}', ("7", None), Answer(200, 99991400, 7.0)),
        (b"{}", (None, "9"), Answer(200, None, 9.0)),
    ],
)
def test_an_answer_is_read_with_its_code_and_its_wait(
    body: bytes, waits: tuple[str | None, ...], expected: Answer
) -> None:
    assert Answer.read(200, body=body, waits=waits) == expected


def test_a_limit_is_waited_for_as_long_as_the_platform_says() -> None:
    assert FAILURES.discovery(Answer(429, None, 12.0), "slow").retry_after_s == 12.0
    assert FAILURES.discovery(Answer(429, None), "slow").retry_after_s is None
    assert FAILURES.discovery(Answer(200, 1000040350), "").retry_after_s == 60.0
    limited = FAILURES.handshake(429, {"Retry-After": "5"})
    assert (limited.fault, limited.reason, limited.retry_after_s) == (LIMITED, "rate_limited", 5.0)


@pytest.mark.parametrize(
    ("http_status", "status", "auth_code", "fault", "reason", "code"),
    [
        (418, "514", "1000040350", LIMITED, "too_many_connections", "1000040350"),
        (418, "514", "1", TRANSIENT, "handshake_refused", "1"),
        (418, "514", "1000040399", TRANSIENT, "unknown_refusal", "1000040399"),
        (418, "514", None, TRANSIENT, "handshake_refused", "514"),
        (418, "403", None, PERMANENT, "forbidden", "403"),
        (418, "429", None, LIMITED, "rate_limited", "429"),
        (418, "500", None, TRANSIENT, "handshake_refused", "500"),
        (502, None, None, TRANSIENT, "handshake_refused", "502"),
        (418, "five", "-1", TRANSIENT, "unknown_refusal", "418"),
        (418, None, None, TRANSIENT, "unknown_refusal", "418"),
        (418, None, "1000040350", TRANSIENT, "unknown_refusal", "418"),
    ],
)
def test_a_refused_handshake_is_read_from_its_headers(
    http_status: int, status: str | None, auth_code: str | None, fault: Fault, reason: str, code: str
) -> None:
    headers = {"handshake-status": status, "Handshake-Autherrcode": auth_code, "Handshake-Msg": "no"}
    given = {name: value for name, value in headers.items() if value is not None}
    failure = FAILURES.handshake(http_status, given)
    assert (failure.fault, failure.reason, failure.error_code) == (fault, reason, code)
    assert fault is not PERMANENT or (failure.user_action and failure.user_action_zh)


def test_a_lost_connection_says_who_ended_it() -> None:
    closed = FAILURES.lost(received=(1000, "bye"), sent_code=None)
    assert (closed.reason, closed.error_code) == ("closed_by_peer", "1000")
    assert FAILURES.lost(received=None, sent_code=None).reason == "connection_lost"
    assert FAILURES.lost(received=None, sent_code=1000).reason == "connection_lost"
    assert FAILURES.lost(received=(1009, ""), sent_code=1009).reason == "frame_too_large"


def test_no_secret_and_no_endless_text_gets_into_a_failure() -> None:
    error = OSError(f"wss://x/?ticket=abc-def&access_key=0123456789 {SECRET} {'x' * 1000}")
    failure = FAILURES.unreachable(error, doing="opening the WebSocket")
    assert failure.reason == "unreachable"
    assert not {"abc-def", "0123456789", SECRET} & set(failure.message.replace("=", " ").split())
    assert len(failure.message) <= 300


def test_timeouts_are_transient() -> None:
    made = [make(1.5) for make in (errors.discovery_timeout, errors.connect_timeout)]
    made += [make(1.5) for make in (errors.link_timeout, errors.platform_silent)]
    assert {failure.fault for failure in made} == {TRANSIENT}
    assert all("1.5 s" in failure.message for failure in made)
