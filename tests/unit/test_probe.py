"""Whether a platform takes credentials: what its answers mean, and what the verb makes of it."""

from __future__ import annotations

import pytest

from longwire.cli.check import exit_code
from longwire.cli.exits import ExitCode
from longwire.probe import Checked
from longwire_connectors import clock
from longwire_connectors.base import Connector
from longwire_connectors.dingtalk import probe as dingtalk
from longwire_connectors.dingtalk.errors import Answer
from longwire_connectors.lark import probe as lark
from longwire_connectors.lark.errors import Answer as LarkAnswer
from longwire_connectors.lark.errors import Failures
from longwire_protocol.link import Fault
from longwire_protocol.probing import Probe, ProbeRequest

SECRET = "a-secret-of-the-app"
TOKEN = b'{"code":0,"msg":"ok","tenant_access_token":"t-1","expire":7200}'


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, TOKEN, None),
        (200, b'{"code":10014,"msg":"app secret invalid"}', (Fault.PERMANENT, "bad_credentials", "10014")),
        (400, b'{"code":10003,"msg":"invalid param"}', (Fault.PERMANENT, "bad_credentials", "10003")),
        (503, b'{"code":2200,"msg":"internal"}', (Fault.TRANSIENT, "platform_busy", "2200")),
        (502, b"<html>bad gateway</html>", (Fault.TRANSIENT, "platform_busy", "502")),
        (200, b"<html>log in</html>", (Fault.TRANSIENT, "bad_discovery_answer", None)),
        (200, b"\xff", (Fault.TRANSIENT, "bad_discovery_answer", None)),
    ],
)
def test_larks_answers(status: int, body: bytes, expected: tuple[Fault, str, str | None] | None) -> None:
    found = lark.judge(LarkAnswer.read(status, body=body), Failures(secrets=(SECRET,)))
    assert (found and (found.fault, found.reason, found.error_code)) == expected


def test_larks_refusal_has_an_advice_and_no_secret() -> None:
    body = f'{{"code":10014,"msg":"{SECRET} is wrong"}}'.encode()
    found = lark.judge(LarkAnswer.read(400, body=body), Failures(secrets=(SECRET,)))
    assert found is not None
    assert found.user_action
    assert SECRET not in found.message


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(200, b'{"accessToken":"x","expireIn":7200}'), None),
        (Answer(401, b'{"code":"authFailed"}'), (Fault.PERMANENT, "bad_credentials", "authFailed")),
        (
            Answer(400, b'{"code":"invalidClientIdOrSecret"}'),
            (Fault.PERMANENT, "bad_credentials", "invalidClientIdOrSecret"),
        ),
        (Answer(400, b'{"code":"systemError"}'), (Fault.TRANSIENT, "discovery_refused", "systemError")),
        (Answer(429, b""), (Fault.LIMITED, "rate_limited", "429")),
        (Answer(200, b"<html>log in</html>"), (Fault.TRANSIENT, "discovery_bad_answer", None)),
    ],
)
def test_dingtalks_answers(answer: Answer, expected: tuple[Fault, str, str | None] | None) -> None:
    found = dingtalk.judge(answer)
    assert (found and (found.fault, found.reason, found.error_code)) == expected


def test_the_clock_is_compared_in_the_middle_of_the_call() -> None:
    date = "Sat, 21 Nov 2026 19:00:00 GMT"
    at = 1795287600.0
    assert clock.ahead_s(date, asked_at=at, answered_at=at + 1) == pytest.approx(0.0)
    assert clock.ahead_s(date, asked_at=at + 3600, answered_at=at + 3601) == pytest.approx(3600.0)
    assert clock.ahead_s(date, asked_at=at - 90, answered_at=at - 89) == pytest.approx(-90.0)


@pytest.mark.parametrize("date", [None, "", "yesterday", "Sat, 99 Nov 2026 99:00:00 GMT"])
def test_an_answer_without_a_readable_date_tells_no_time(date: str | None) -> None:
    assert clock.ahead_s(date, asked_at=1.0, answered_at=2.0) is None


def test_a_connector_that_says_nothing_has_nothing_to_try() -> None:
    assert Connector.probe(None) == Probe(was_tried=False)


def test_the_request_shows_no_secret() -> None:
    assert SECRET not in repr(ProbeRequest(account="a", connector="lark", options={"app_secret": SECRET}))


def checked(fault: Fault | None = None, **more: object) -> Checked:
    known = {"account": "a", "connector": "lark", "ok": fault is None, "was_tried": True, "took_s": 0.1}
    return Checked(**{**known, "fault": fault, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("probed", "expected"),
    [
        ([], ExitCode.OK),
        ([checked(), checked(was_tried=False)], ExitCode.OK),
        ([checked(), checked(Fault.TRANSIENT)], ExitCode.TRY_AGAIN),
        ([checked(Fault.LIMITED)], ExitCode.TRY_AGAIN),
        ([checked(Fault.TRANSIENT), checked(Fault.PERMANENT)], ExitCode.NOT_PERMITTED),
    ],
)
def test_the_exit_code_says_whether_somebody_must_act(probed: list[Checked], expected: ExitCode) -> None:
    assert exit_code(probed) == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (checked(), "a: accepted, 0.10 s"),
        (checked(was_tried=False), "a: nothing to try; the connector lark has no credentials"),
        (
            checked(
                Fault.PERMANENT,
                reason="bad_credentials",
                error_code="10014",
                message="Lark refused",
                user_action="Compare them.",
            ),
            "a: bad_credentials (10014): Lark refused",
        ),
        (checked(Fault.TRANSIENT, reason="unreachable", message="no route"), "a: unreachable: no route"),
    ],
)
def test_each_account_is_one_line(found: Checked, expected: str) -> None:
    assert str(found) == expected
