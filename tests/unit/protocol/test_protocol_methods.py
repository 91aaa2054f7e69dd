"""Which commands are durable, which may be repeated, and what they keep their order with."""

from __future__ import annotations

from typing import Any

import pytest

from longwire_protocol.methods import COURSES, Course, chat_of, course


@pytest.mark.parametrize("has_key", [False, True])
def test_a_known_method_has_its_course_with_a_key_and_without(has_key: bool) -> None:  # noqa: FBT001
    assert course("message.create", {}, has_key=has_key) is Course.ONCE
    assert course("message.delete", {}, has_key=has_key) is Course.REPEATABLE
    assert course("media.upload", {}, has_key=has_key) is Course.DIRECT


@pytest.mark.parametrize(
    ("params", "has_key", "wanted"),
    [
        ({"method": "GET"}, False, Course.DIRECT),
        ({"method": "get"}, False, Course.DIRECT),
        ({"method": "GET"}, True, Course.ONCE),
        ({"method": "POST"}, False, Course.ONCE),
        ({"method": 7}, False, Course.ONCE),
        ({}, False, Course.ONCE),
    ],
)
def test_a_platform_call_is_durable_unless_it_only_reads(
    params: dict[str, Any],
    has_key: bool,  # noqa: FBT001
    wanted: Course,
) -> None:
    assert course("platform.call", params, has_key=has_key) is wanted


def test_what_only_a_plugin_knows_is_durable_where_it_has_a_key() -> None:
    assert course("sign.set", {}, has_key=False) is Course.DIRECT
    assert course("sign.set", {}, has_key=True) is Course.ONCE


def test_nothing_that_creates_a_message_may_be_repeated() -> None:
    assert {method for method, known in COURSES.items() if known is Course.ONCE} == {"message.create"}


@pytest.mark.parametrize(
    ("params", "chat"),
    [
        ({"chat": "oc_1"}, "oc_1"),
        ({"chat": {"id": "oc_1", "type": "group"}, "user": "ou_1"}, "oc_1"),
        ({"user": "ou_1", "reply_to": "om_1"}, "user:ou_1"),
        ({"chat": "", "reply_to": "om_1"}, "reply_to:om_1"),
        ({"chat": {"type": "group"}, "message_id": "om_1"}, "message_id:om_1"),
        ({"chat": 7}, None),
        ({}, None),
    ],
)
def test_order_is_kept_with_the_chat_or_what_stands_for_it(params: dict[str, Any], chat: str | None) -> None:
    assert chat_of(params) == chat
