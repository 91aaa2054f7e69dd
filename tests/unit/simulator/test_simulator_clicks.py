"""What a simulated user saw of a click."""

from __future__ import annotations

from typing import Any

import pytest

from longwire_connectors.simulator.clicks import ClickSeen, clicks_seen
from longwire_connectors.simulator.deliveries import DeliveryRecord, Phase


def seen(**fields: Any) -> ClickSeen:
    record = DeliveryRecord(app="a", kind="card", frame_message_id="f", **fields)
    (click,) = clicks_seen([record], deadline_s=3.0)
    return click


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        ('{"toast": {"content": "ok"}}', {"toast": {"content": "ok"}}),
        ('{"response": {"cardData": {}}}', {"cardData": {}}),
        ('{"response": null}', None),
        (None, None),
    ],
)
def test_an_answer_is_seen_after_its_time(data: str | None, answer: object) -> None:
    click = seen(phase=Phase.ACKED, sent_at=[10.0], acked_at=12.0, ack_data=data)
    assert (click.sees, click.after_s, click.answer) == ("answer", 2.0, answer)


def test_a_failure_is_seen_at_the_deadline_and_at_once_where_nobody_is_there() -> None:
    late = seen(phase=Phase.EXHAUSTED, sent_at=[10.0])
    assert (late.sees, late.after_s) == ("failure", 3.0)
    alone = seen(phase=Phase.DROPPED)
    assert (alone.sees, alone.after_s) == ("failure", 0.0)


def test_nothing_is_seen_while_the_answer_may_still_come() -> None:
    assert seen(phase=Phase.SENT, sent_at=[10.0]).sees == "nothing yet"


def test_only_clicks_are_looked_at() -> None:
    assert clicks_seen([DeliveryRecord(app="a", kind="message", frame_message_id="f")], deadline_s=3.0) == []
