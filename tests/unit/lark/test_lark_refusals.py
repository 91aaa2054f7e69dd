"""What is told of the platform's refusals."""

import pytest

from longwire_connectors.lark.refusals import code_of, refusal_data
from longwire_protocol.errors import CommandError


@pytest.mark.parametrize(
    ("code", "data"),
    [
        (230002, {"platform_code": 230002, "reason": "not_in_chat"}),
        (230011, {"platform_code": 230011, "reason": "message_recalled"}),
        (7, {"platform_code": 7}),
        (230020, {"platform_code": 230020, "limit": "chat"}),
        (None, {"platform_code": None}),
    ],
)
def test_a_refusal_has_its_code_and_its_reason_where_that_is_known(code: object, data: object) -> None:
    assert refusal_data(code) == data


@pytest.mark.parametrize(("data", "code"), [({"platform_code": 7}, 7), ({}, None), (None, None)])
def test_the_code_of_a_refusal_is_found_again(data: object, code: object) -> None:
    assert code_of(CommandError(34001, "no", data=data)) == code
