"""The platform's codes as failures."""

import pytest

from longwire_connectors.lark import errors
from longwire_connectors.lark.errors import Failures
from longwire_protocol.link import Fault

SECRET = "a-made-up-secret"
FAILURES = Failures(secrets=(SECRET,))


@pytest.mark.parametrize(
    ("code", "fault", "reason"),
    [
        (10003, Fault.PERMANENT, "bad_credentials"),
        (10014, Fault.PERMANENT, "bad_credentials"),
        (1000040344, Fault.PERMANENT, "bad_credentials"),
        (1000040345, Fault.PERMANENT, "bad_credentials"),
        (1000040346, Fault.PERMANENT, "bad_credentials"),
        (1000040351, Fault.PERMANENT, "wrong_domain"),
        (1000040399, Fault.PERMANENT, "refused_by_platform"),
        (1000040350, Fault.LIMITED, "too_many_connections"),
        (None, Fault.TRANSIENT, "bad_discovery_answer"),
        ("1000040346", Fault.TRANSIENT, "bad_discovery_answer"),
    ],
)
def test_what_discovery_refuses_for_good_is_permanent_and_says_what_to_do(
    code: object, fault: Fault, reason: str
) -> None:
    failure = FAILURES.refused(code, "app_id is invalid")
    assert (failure.fault, failure.reason) == (fault, reason)
    assert bool(failure.user_action) == (fault is Fault.PERMANENT)
    assert failure.retry_after_s == (60.0 if fault is Fault.LIMITED else None)
    assert failure.error_code == (None if fault is Fault.TRANSIENT else str(code))


@pytest.mark.parametrize("code", [1, 1000040343, 400, 403, 404, 429, 500, 502])
def test_what_passes_is_transient_whatever_its_text_says(code: int) -> None:
    failure = FAILURES.busy(code, "app_id is invalid, secret forbidden")
    assert (failure.fault, failure.reason, failure.error_code) == (
        Fault.TRANSIENT,
        "platform_busy",
        str(code),
    )


@pytest.mark.parametrize(
    ("status", "auth_code", "fault", "code"),
    [
        ("514", "1000040350", Fault.LIMITED, "1000040350"),
        ("514", "1", Fault.TRANSIENT, "1"),
        ("514", None, Fault.TRANSIENT, "514"),
        ("403", None, Fault.PERMANENT, "403"),
        ("500", None, Fault.TRANSIENT, "500"),
        ("five", "-1", Fault.TRANSIENT, "418"),
        (None, None, Fault.TRANSIENT, "418"),
        (None, "1000040350", Fault.TRANSIENT, "418"),
    ],
)
def test_a_refused_handshake_is_read_from_its_headers(
    status: str | None, auth_code: str | None, fault: Fault, code: str
) -> None:
    headers = {"handshake-status": status, "Handshake-Autherrcode": auth_code, "Handshake-Msg": "no"}
    given = {name: value for name, value in headers.items() if value is not None}
    failure = FAILURES.handshake(418, given)
    assert (failure.fault, failure.error_code) == (fault, code)
    assert bool(failure.user_action) == (fault is Fault.PERMANENT)


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
    assert {failure.fault for failure in made} == {Fault.TRANSIENT}
    assert all("1.5 s" in failure.message for failure in made)
