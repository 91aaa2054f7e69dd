"""Texts that grow in a card: all but the last are worth nothing later."""

from typing import Any

import pytest

from longwire_protocol.methods import Course, course


@pytest.mark.parametrize(
    ("params", "wanted"),
    [
        ({"message_id": "om_1", "stream": {"text": "so far"}}, Course.DIRECT),
        ({"message_id": "om_1", "stream": {"text": "so far", "final": False}}, Course.DIRECT),
        ({"message_id": "om_1", "stream": {"text": "all", "final": True}}, Course.REPEATABLE),
        ({"message_id": "om_1", "card": {}}, Course.REPEATABLE),
        ({"message_id": "om_1", "stream": None}, Course.REPEATABLE),
    ],
)
def test_only_the_last_text_of_a_stream_is_durable(params: dict[str, Any], wanted: Course) -> None:
    assert course("card.update", params, has_key=True) is wanted
    assert course("card.update", params, has_key=False) is wanted
