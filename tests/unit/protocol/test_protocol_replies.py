"""What a reply brings to its caller, and where an answer to an event goes."""

from __future__ import annotations

import pytest

from longwire_protocol.errors import CommandError
from longwire_protocol.event import Chat, Event, Sender, answer_to
from longwire_protocol.messages import Reply
from longwire_protocol.replies import Accepted, data_of


def test_an_outcome_is_its_data_whatever_it_looks_like() -> None:
    for data in (None, 3, {"receipt": "r"}, [1]):
        assert data_of(Reply(id=1, status="ok", data=data)) == data
        assert not isinstance(data_of(Reply(id=1, status="ok", data=data)), Accepted)


def test_an_accepted_command_is_its_receipt() -> None:
    data = data_of(Reply(id=1, status="accepted", data={"receipt": "r", "later": 1}))
    assert isinstance(data, Accepted)
    assert data == {"receipt": "r", "later": 1}
    assert data.receipt == "r"


@pytest.mark.parametrize("data", [None, 7, {}, {"receipt": 7}])
def test_an_accepted_command_without_a_receipt_is_its_data(data: object) -> None:
    assert data_of(Reply(id=1, status="accepted", data=data)) == data


def test_a_refusal_raises_with_all_it_says() -> None:
    reply = Reply(
        id=1, status="failed", retcode=34003, message="slower", data=1, retryable=True, retry_after_ms=5
    )
    with pytest.raises(CommandError, match="slower") as caught:
        data_of(reply)
    error = caught.value
    assert (error.retcode, error.data, error.retryable, error.retry_after_ms) == (34003, 1, True, 5)


def event(**more: object) -> Event:
    return Event(id="i", type="t", time=1.0, recv_time=1.0, tenant="acme", account="a", platform="p", **more)  # type: ignore[arg-type]


def test_an_answer_goes_where_the_event_was_written() -> None:
    written = event(chat=Chat(id="c", type="group", name="n"), sender=Sender(id="u"), message_id="m")
    assert answer_to(written) == {
        "chat": {"id": "c", "type": "group", "name": "n"},
        "user": "u",
        "reply_to": "m",
    }


def test_an_answer_to_nobody_has_no_address() -> None:
    assert answer_to(event()) == {}
