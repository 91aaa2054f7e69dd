"""`message.create` as Lark's call."""

import json
from typing import Any

import pytest

from longwire_connectors.lark.openapi import retry_after_ms
from longwire_connectors.lark.outgoing import message_request
from longwire_protocol.errors import CommandError, RetCode


@pytest.mark.parametrize(
    ("receiver", "kind"),
    [
        ("oc_1", "chat_id"),
        ("ou_1", "open_id"),
        ("on_1", "union_id"),
        ("a@example.com", "email"),
        ("e33ggbyz", "user_id"),
    ],
)
@pytest.mark.parametrize("name", ["chat", "user"])
def test_a_receiver_is_told_by_how_its_id_begins(name: str, receiver: str, kind: str) -> None:
    for given in (receiver, {"id": receiver, "type": "group"}):
        request = message_request({name: given, "text": "hi"})
        assert (request.path, request.query) == ("/im/v1/messages", {"receive_id_type": kind})
        assert request.body == {"receive_id": receiver, "msg_type": "text", "content": '{"text":"hi"}'}


def test_a_reply_goes_to_its_message_and_into_its_thread() -> None:
    request = message_request({"reply_to": "om_a-1", "text": "hi", "account": "acme", "tenant": "t"})
    assert (request.path, request.query) == ("/im/v1/messages/om_a-1/reply", {})
    assert "reply_in_thread" not in request.body
    threaded = {"reply_to": "om_1", "text": "hi", "chat": {"id": "oc_1", "thread_id": "omt_1"}}
    assert message_request(threaded).body["reply_in_thread"] is True


def test_segments_become_one_text_with_mentions() -> None:
    segments = [
        {"type": "text", "data": {"text": "hi "}},
        {"type": "mention", "data": {"user_id": 'ou_"1', "name": "A<b>"}},
        {"type": "mention", "data": {"user_id": "all"}},
    ]
    body = message_request({"chat": "oc_1", "segments": segments}).body
    assert json.loads(body["content"]) == {
        "text": 'hi <at user_id="ou_1">Ab</at><at user_id="all"></at>',
    }


def test_a_card_is_interactive() -> None:
    body = message_request({"chat": "oc_1", "card": {"header": {}}}).body
    assert (body["msg_type"], json.loads(body["content"])) == ("interactive", {"header": {}})


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"chat": "oc_1"}, "`text`"),
        ({"chat": "oc_1", "text": "a", "card": {}}, "`card`"),
        ({"text": "a"}, "`chat`"),
        ({"chat": "", "text": "a"}, "`chat`"),
        ({"chat": "oc_1", "text": ""}, "`text`"),
        ({"chat": "oc_1", "segments": []}, "`segments`"),
        ({"reply_to": "", "text": "a"}, "`reply_to`"),
        ({"reply_to": "om_1/../x", "text": "a"}, "`reply_to`"),
        ({"chat": 5, "text": "a"}, "chat"),
        ({"chat": "oc_1", "txet": "a"}, "txet"),
        ({"chat": "oc_1", "segments": [{"type": "location", "data": {}}]}, r"segments\[0\]\.type"),
        ({"chat": "oc_1", "segments": [{"type": "text", "data": {}}]}, r"segments\[0\]\.data\.text"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_its_name(params: dict[str, Any], named: str) -> None:
    with pytest.raises(CommandError, match=named) as refusal:
        message_request(params)
    assert refusal.value.retcode == RetCode.BAD_PARAM


@pytest.mark.parametrize(
    ("header", "wait_ms"),
    [("3", 3000), ("0.5", 1000), ("", 1000), ("soon", 1000), ("-1", 1000), ("nan", 1000)],
)
def test_the_platforms_word_on_how_long_to_wait_is_used_if_it_makes_sense(header: str, wait_ms: int) -> None:
    assert retry_after_ms({"x-ogw-ratelimit-reset": header}) == wait_ms


def test_the_chat_says_where_if_the_user_is_named_too() -> None:
    request = message_request({"chat": "oc_1", "user": "ou_1", "text": "a"})
    assert request.query == {"receive_id_type": "chat_id"}
