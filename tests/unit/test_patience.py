"""What HTTP headers say of waiting."""

import pytest

from longwire_connectors.patience import asked_s


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (("7",), 7.0),
        ((" 7 ",), 7.0),
        ((None, "3"), 3.0),
        (("soon", "3"), 3.0),
        (("2", "3"), 2.0),
        (("999999",), 3600.0),
        (("Wed, 21 Oct 2026 07:28:00 GMT",), None),
        (("-1",), None),
        (("²",), None),
        ((None,), None),
        ((), None),
    ],
)
def test_the_first_header_that_is_a_number_of_seconds_counts(
    headers: tuple[str | None, ...], expected: float | None
) -> None:
    assert asked_s(*headers) == expected
