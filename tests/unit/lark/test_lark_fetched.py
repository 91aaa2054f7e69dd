"""A message of Lark as `message.get` tells it."""

from typing import Any

import pytest

from longwire_connectors.lark.fetched import read_message
from longwire_protocol.event import Segment

ITEM: dict[str, Any] = {
    "message_id": "om_1",
    "parent_id": "om_0",
    "msg_type": "text",
    "create_time": "1700000000123",
    "chat_id": "oc_1",
    "deleted": False,
    "updated": True,
    "sender": {"id": "cli_1", "id_type": "app_id", "sender_type": "app"},
    "body": {"content": '{"text":"@_user_1 hi"}'},
    "mentions": [{"key": "@_user_1", "id": "ou_1", "name": "Mei"}, {"key": "@_user_2"}, 5],
}


def test_a_message_is_told_in_the_words_of_an_event() -> None:
    told = read_message({"items": [ITEM]})
    assert told is not None
    assert told.pop("segments") == [
        Segment("mention", {"user_id": "ou_1", "name": "Mei"}),
        Segment("text", {"text": " hi"}),
    ]
    assert told == {
        "message_id": "om_1",
        "chat": {"id": "oc_1"},
        "sender": {"id": "cli_1", "is_bot": True},
        "time": 1700000000.123,
        "reply_to": "om_0",
        "is_deleted": False,
        "is_edited": True,
        "text": "@Mei hi",
        "resources": [],
        "raw": ITEM,
    }


@pytest.mark.parametrize("data", [{}, {"items": []}, {"items": ["x"]}])
def test_no_message_is_none(data: dict[str, Any]) -> None:
    assert read_message(data) is None


def test_what_is_not_understood_costs_itself_alone() -> None:
    told = read_message({"items": [{"message_id": "om_1", "msg_type": "new", "create_time": "x"}]})
    assert told is not None
    assert set(told) == {"message_id", "chat", "sender", "is_deleted", "is_edited", "raw"}
