"""A text that still grows is carried out at once; the one that ends it is kept until it is shown."""

from typing import Any

import pytest

from longwire_protocol.methods import Course, course


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"message_id": "m", "stream": {"text": "a"}}, Course.DIRECT),
        ({"message_id": "m", "stream": {"text": "a", "final": False}}, Course.DIRECT),
        ({"message_id": "m", "stream": {"text": "ab", "final": True}}, Course.REPEATABLE),
        ({"message_id": "m", "card": {}}, Course.REPEATABLE),
        ({"message_id": "m", "stream": None}, Course.REPEATABLE),
    ],
)
def test_only_the_end_of_a_growing_text_is_durable(params: dict[str, Any], expected: Course) -> None:
    assert course("card.update", params, has_key=False) is expected
