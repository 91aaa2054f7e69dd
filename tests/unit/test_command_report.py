"""The event that tells what became of a command, and the reply."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from longwire.control import Accepted
from longwire.outbox.command import Command, Outcome, State
from longwire.outbox.report import report
from longwire.platformcommands import told
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.event import Event

DONE = Command(
    number=1,
    receipt="r1",
    tenant="acme",
    account="acme-lark",
    platform="lark",
    client="c1",
    method="message.create",
    idempotency_key="k1",
    chat="oc_1",
    accepted_at=100.0,
    deadline_at=130.0,
    first_tried_at=101.0,
    attempts=1,
    state=State.DONE,
    outcome=Outcome(0, "", {"message_id": "om_1"}),
    ended_at=102.5,
)


def read(command: Command) -> tuple[Any, Event]:
    handed_over = report(command, event_id="e1")
    return handed_over, msgspec.msgpack.decode(handed_over.body, type=Event)


def test_the_event_is_the_accounts_and_in_no_chats_order() -> None:
    handed_over, event = read(DONE)
    assert (handed_over.type, handed_over.chat, handed_over.dedup_key) == ("delivery.updated", None, None)
    assert (event.id, event.type, event.time) == ("e1", "delivery.updated", 102.5)
    assert (event.tenant, event.account, event.platform) == ("acme", "acme-lark", "lark")
    assert (event.message_id, event.chat) == ("om_1", None)
    assert event.raw["receipt"] == "r1"
    assert event.raw["state"] == "done"


@pytest.mark.parametrize("data", [None, {}, {"message_id": 7}, "om_1"])
def test_the_event_names_a_message_only_if_the_platform_did(data: Any) -> None:
    assert read(replace(DONE, outcome=Outcome(0, "", data)))[1].message_id is None


def test_an_answer_is_the_platforms_data() -> None:
    assert told(DONE) == {"message_id": "om_1"}


@pytest.mark.parametrize("state", [State.QUEUED, State.UNDER_WAY])
def test_what_has_not_ended_is_accepted(state: State) -> None:
    assert told(replace(DONE, state=state, ended_at=None)) == Accepted("r1")


@pytest.mark.parametrize(
    ("state", "key", "retryable"),
    [
        (State.FAILED, None, False),
        (State.UNCERTAIN, None, False),
        (State.FAILED, "k1", False),
        (State.EXPIRED, "k1", True),
        (State.EXPIRED, None, True),
    ],
)
def test_a_refusal_says_how_it_ended_and_whether_the_same_request_may_succeed(
    state: State,
    key: str | None,
    retryable: bool,  # noqa: FBT001
) -> None:
    outcome = Outcome(RetCode.PLATFORM_REFUSED, "no", {"platform_code": 230002})
    with pytest.raises(CommandError) as caught:
        told(replace(DONE, state=state, idempotency_key=key, outcome=outcome))
    assert caught.value.retryable is retryable
    assert caught.value.data == {"platform_code": 230002, "receipt": "r1", "state": state.value}


def test_a_refusal_without_data_still_names_its_receipt() -> None:
    with pytest.raises(CommandError) as caught:
        told(replace(DONE, state=State.FAILED, outcome=Outcome(RetCode.BAD_PARAM, "no", "text")))
    assert caught.value.data == {"receipt": "r1", "state": "failed"}
