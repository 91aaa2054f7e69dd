"""Until when a click can be answered is said to those who still can."""

from __future__ import annotations

import pytest

from longwire_protocol.codec import encode_event, with_delivery
from longwire_protocol.event import Chat, Event


def click(*, respond_by: float | None, fields: int = 0) -> bytes:
    """Return a click as a child sends it, with so many more fields than it needs."""
    more = dict.fromkeys(("message_id", "reply_to", "text", "raw", "dedup_key", "trace")[:fields], "x")
    event = Event(
        respond_by=respond_by,
        id="e",
        type="card.action",
        time=1.0,
        recv_time=2.0,
        tenant="t",
        account="a",
        platform="p",
        chat=Chat(id="c", type="group"),
        **more,
    )
    return encode_event(event)


@pytest.mark.parametrize("fields", range(7))
def test_it_is_told_before_that_moment_and_not_from_it_on(fields: int) -> None:
    body = click(respond_by=100.0, fields=fields)
    without = with_delivery(click(respond_by=None, fields=fields), 7, attempt=2)
    assert with_delivery(body, 7, attempt=2, now=100.0) == without
    assert b"respond_by" in with_delivery(body, 7, attempt=2, now=99.9)


def test_it_is_told_to_nobody_who_does_not_say_what_time_it_is() -> None:
    assert b"respond_by" not in with_delivery(click(respond_by=1e12), 7, attempt=1)


def test_words_of_an_event_are_never_taken_for_it() -> None:
    body = click(respond_by=None, fields=6)
    assert with_delivery(body, 7, attempt=1, now=1e12).endswith(body[3:])
