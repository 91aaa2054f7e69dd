"""What the body of an answer asks for, and what it cannot ask for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from longwire.courier.answers import MAX_COMMANDS, Unusable, Wanted, wanted
from longwire.courier.http import Answer
from longwire.courier.target import Target
from longwire_protocol.event import Chat, Event, Sender

WHERE = {"chat": {"id": "oc_1", "type": "group"}, "user": "ou_1", "reply_to": "om_1"}
TARGET = Target(name="crm", url="https://crm.example/", accounts=("acme-lark", "acme-ding"))


def event(**fields: Any) -> Event:
    given = {
        "id": "e1",
        "type": "message.created",
        "time": 1.0,
        "recv_time": 1.0,
        "tenant": "acme",
        "account": "acme-lark",
        "platform": "lark",
        "chat": Chat(id="oc_1", type="group"),
        "sender": Sender(id="ou_1"),
        "message_id": "om_1",
    }
    return Event(**{**given, **fields})


def asked(
    body: Any, *, content_type: str = "application/json", of: Event | None = None
) -> tuple[Wanted, ...]:
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return wanted(Answer(200, {"content-type": content_type}, data), of or event(), TARGET)


def test_a_text_is_sent_to_where_the_event_came_from() -> None:
    assert asked({"reply": "hello"}) == (
        Wanted("message.create", "acme-lark", {**WHERE, "text": "hello"}, "webhook:crm/e1/0"),
    )


@pytest.mark.parametrize("content", [{"card": {"a": 1}}, {"segments": []}, {"text": "hello"}])
def test_a_reply_may_be_more_than_a_text(content: dict[str, Any]) -> None:
    (command,) = asked({"reply": content})
    assert command.params == {**WHERE, **content}


def test_commands_come_after_the_reply_each_with_its_own_key() -> None:
    commands = [
        {"method": "reaction.create", "params": {"message_id": "om_1", "emoji": "OK"}},
        {"method": "message.create", "account": "acme-ding", "params": {"chat": "c", "text": "x"}},
    ]
    found = asked({"reply": "hello", "commands": commands})
    assert [(one.method, one.account, one.key) for one in found] == [
        ("message.create", "acme-lark", "webhook:crm/e1/0"),
        ("reaction.create", "acme-lark", "webhook:crm/e1/1"),
        ("message.create", "acme-ding", "webhook:crm/e1/2"),
    ]
    assert found[1].params == {"message_id": "om_1", "emoji": "OK"}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'"ok"', b"null", {"ok": True}, {"reply": None}, {"commands": []}]
)
def test_other_answers_ask_for_nothing(body: Any) -> None:
    assert asked(body) == ()


def test_only_json_asks_for_anything() -> None:
    reply = {"reply": "hello"}
    assert asked(reply, content_type="text/html") == ()
    assert wanted(Answer(200, {}, msgspec.json.encode(reply)), event(), TARGET) == ()
    assert asked(reply, content_type="application/vnd.crm+json; charset=utf-8")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "truncated"),
        (b'{"reply": "\xff"}', "not as documented"),
        (b'{"x":' + b"[" * 50_000, "not as documented"),
        ({"reply": 5}, "reply"),
        ({"reply": {}}, "one of card, segments, text"),
        ({"reply": {"text": "a", "card": {}}}, "one of"),
        ({"reply": {"text": "a", "chat": "other"}}, "one of"),
        ({"commands": [{"method": "platform.call"}]}, "'platform.call' is none of"),
        ({"commands": [{"method": "account.remove"}]}, "is none of"),
        ({"commands": [{"params": {}}]}, "method"),
        ({"commands": [{"method": "message.create", "account": "beta"}]}, "no account of the target"),
        ({"commands": [{"method": "message.create"}] * (MAX_COMMANDS + 1)}, "asks for 11"),
    ],
)
def test_what_cannot_be_done_is_refused_as_a_whole(body: Any, words: str) -> None:
    with pytest.raises(Unusable, match=words):
        asked(body)


def test_nobody_can_be_answered_where_nobody_spoke() -> None:
    lonely = event(type="account.status", chat=None, sender=None, message_id=None)
    with pytest.raises(Unusable, match=r"account\.status"):
        asked({"reply": "hello"}, of=lonely)


def test_a_target_of_all_accounts_may_name_any_and_its_tenant_bounds_it() -> None:
    everywhere = Target(name="crm", url="https://crm.example/")
    body = msgspec.json.encode({"commands": [{"method": "message.create", "account": "beta"}]})
    (command,) = wanted(Answer(200, {"content-type": "application/json"}, body), event(), everywhere)
    assert command.account == "beta"
