"""What becomes of what a client asks for, and whose queue it is in."""

import pytest
from msgspec.structs import replace

from fakes.configuration import one, read
from longwire.outbox.command import Asked, accepted, app_of, owner_of
from longwire.outbox.untried import saturated
from longwire_protocol.declaration import Supported
from longwire_protocol.errors import CommandError, RetCode

CONFIG = replace(
    read(one()).accounts["acme"],
    repeat_window_s=3600.0,
    supported=Supported(unrepeatable=("platform.call",)),
)
ASKED = Asked(
    client="c1",
    method="message.create",
    params={"text": "hi"},
    chat="oc_1",
    is_repeatable=False,
    idempotency_key="k",
    deadline_s=30.0,
)


def test_what_is_asked_for_is_kept_with_whose_it_is_and_until_when() -> None:
    command = accepted(ASKED, CONFIG, number=7, receipt="r", fingerprint=b"f", now=100.0)
    assert (command.number, command.receipt, command.fingerprint) == (7, "r", b"f")
    assert (command.account, command.platform, command.app) == ("acme", "lark", "cli_1")
    assert (command.method, command.params, command.idempotency_key) == (
        "message.create",
        {"text": "hi"},
        "k",
    )
    assert (command.accepted_at, command.deadline_at) == (100.0, 130.0)


def test_what_has_no_chat_keeps_no_order() -> None:
    command = accepted(replace(ASKED, chat=None), CONFIG, number=7, receipt="r", fingerprint=b"", now=100.0)
    assert command.chat == "receipt:r"


@pytest.mark.parametrize(("method", "window_s"), [("message.create", 3600.0), ("platform.call", 0.0)])
def test_the_platform_tells_repetitions_of_what_it_can(method: str, window_s: float) -> None:
    asked = replace(ASKED, method=method)
    command = accepted(asked, CONFIG, number=7, receipt="r", fingerprint=b"", now=100.0)
    assert command.repeat_window_s == window_s


def test_accounts_of_one_app_are_in_one_queue_and_each_remains_itself() -> None:
    command = accepted(ASKED, CONFIG, number=7, receipt="r", fingerprint=b"", now=100.0)
    other = replace(CONFIG, account="other")
    assert app_of(command) == app_of(CONFIG) == app_of(other) == ("lark", "cli_1")
    assert owner_of(command) == owner_of(CONFIG) != owner_of(other)
    assert app_of(replace(CONFIG, app="cli_2")) != app_of(command)


def test_without_an_app_each_account_is_in_a_queue_of_its_own() -> None:
    alone = replace(CONFIG, app=None)
    assert app_of(alone) != app_of(replace(alone, account="other"))
    assert app_of(alone) == app_of(accepted(ASKED, alone, number=1, receipt="r", fingerprint=b"", now=1.0))


def test_a_key_makes_it_known_by_account_and_method_and_comparable_by_its_params() -> None:
    command = accepted(ASKED, CONFIG, number=7, receipt="r", fingerprint=ASKED.fingerprint(), now=100.0)
    assert ASKED.scope(CONFIG) == command.scope
    assert ASKED.scope(CONFIG) != ASKED.scope(replace(CONFIG, account="other"))
    assert ASKED.fingerprint() == replace(ASKED, params=dict(ASKED.params)).fingerprint()
    assert ASKED.fingerprint() != replace(ASKED, params={"text": "ho"}).fingerprint()


def test_without_a_key_it_is_neither() -> None:
    asked = replace(ASKED, idempotency_key=None, params={"text": {1: "one"}})
    assert (asked.scope(CONFIG), asked.fingerprint()) == (None, b"")


def test_params_that_cannot_be_compared_take_no_key() -> None:
    with pytest.raises(CommandError, match="every key must be a text") as refused:
        replace(ASKED, params={1: "one", "two": 2}).fingerprint()
    assert refused.value.retcode == RetCode.BAD_PARAM


def test_a_saturation_says_when_to_come_again() -> None:
    refusal = saturated(0.0301)
    assert (refusal.retcode, refusal.retryable, refusal.retry_after_ms) == (RetCode.SATURATED, True, 31)
