"""What a connector says of its link, without the account's secrets."""

from __future__ import annotations

from longwire_connectors.discretion import discreet, secrets_of
from longwire_protocol.link import Fault, LinkFailure
from longwire_protocol.redaction import Redactor

SECRET = "a-very-secret-value"


def test_every_text_of_a_failure_is_without_the_secrets() -> None:
    failure = LinkFailure(
        Fault.PERMANENT,
        "bad_credentials",
        f"{SECRET} is wrong",
        error_code=SECRET,
        user_action=f"replace {SECRET}",
        user_action_zh=f"更换 {SECRET}",
        retry_after_s=3.0,
    )
    said = discreet(failure, Redactor([SECRET]))
    assert said == LinkFailure(
        Fault.PERMANENT,
        "bad_credentials",
        "[redacted] is wrong",
        error_code="[redacted]",
        user_action="replace [redacted]",
        user_action_zh="更换 [redacted]",
        retry_after_s=3.0,
    )


def test_a_failure_without_code_and_action_stays_as_it_is() -> None:
    failure = LinkFailure(Fault.TRANSIENT, "unreachable", "no route")
    assert discreet(failure, Redactor([SECRET])) == failure


def test_secrets_are_the_options_that_are_declared_so_and_given() -> None:
    options = {"app_id": "cli_1", "app_secret": SECRET, "other": None}
    assert secrets_of(options, ("app_secret", "other", "absent")) == [SECRET]
