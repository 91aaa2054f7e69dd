"""Payloads as events."""

import json
from typing import Any

import msgspec
import pytest

from longwire_connectors.base import Stamp
from longwire_connectors.lark.normalise import is_understood, normalise
from longwire_connectors.lark.payload import MAX_DEPTH, MalformedEvent, read_payload
from longwire_protocol.event import Bot, Chat, Event, Segment, Sender

BOT = Bot("ou_b", "Bot")
IDS = {"union_id": "on_x", "user_id": "e33", "open_id": "ou_x"}


def stamp(bot: Bot | None = BOT) -> Stamp:
    return Stamp(id="ev-1", recv_time=5.0, tenant="t", account="a", platform="lark", bot=bot)


def read(payload: Any, *, bot: Bot | None = BOT) -> Event:
    return normalise(json.dumps(payload).encode(), stamp=stamp(bot))


def message(content: object = None, *, kind: str = "text", **changes: Any) -> dict[str, Any]:
    inner = {
        "message_id": "om_1",
        "root_id": "om_0",
        "parent_id": "om_0",
        "create_time": "1700000000123",
        "chat_id": "oc_1",
        "chat_type": "group",
        "message_type": kind,
        "content": json.dumps({"text": "hi"} if content is None else content),
        **changes,
    }
    return {
        "schema": "2.0",
        "header": {
            "event_id": "e-1",
            "event_type": "im.message.receive_v1",
            "create_time": "1700000000999",
            "token": "verify-me",
            "app_id": "cli_1",
        },
        "event": {"sender": {"sender_id": IDS, "sender_type": "user"}, "message": inner},
    }


def mention(open_id: str, name: str | None, *, key: str = "@_user_1") -> dict[str, Any]:
    return {"key": key, "id": {"open_id": open_id, "user_id": ""}, "name": name}


def test_a_text_message_is_read_in_full() -> None:
    event = read(message(thread_id="omt_1"))
    assert (event.type, event.id, event.time, event.recv_time) == (
        "message.created",
        "ev-1",
        1700000000.123,
        5.0,
    )
    assert (event.tenant, event.account, event.platform, event.bot) == ("t", "a", "lark", BOT)
    assert event.chat == Chat(id="oc_1", type="group", thread_id="omt_1")
    assert event.sender == Sender(id="ou_x", is_bot=False, ids=IDS)
    assert (event.message_id, event.reply_to, event.dedup_key) == ("om_1", "om_0", "m:om_1")
    assert (event.text, event.to_me, event.resources) == ("hi", False, None)
    assert event.segments == [Segment("reply", {"message_id": "om_0"}), Segment("text", {"text": "hi"})]


def test_the_raw_payload_is_complete_but_for_its_tokens() -> None:
    payload = message()
    event = read(payload)
    payload["header"]["token"] = "[redacted]"
    assert event.raw == payload
    assert read(message() | {"token": "x"}).raw["token"] == "[redacted]"
    quiet = message()
    quiet["header"]["token"] = ""
    assert read(quiet).raw == quiet


def test_mentions_are_readable_and_tell_whether_the_bot_is_meant() -> None:
    mentions = [mention("ou_b", "Bot"), mention("ou_y", "Yu", key="@_user_10")]
    event = read(
        message({"text": "@_user_1 and @_user_10, @_user_2 @_all"}, mentions=mentions, parent_id=None)
    )
    assert event.text == "@Bot and @Yu, @_user_2 @all"
    assert event.to_me is True
    assert event.segments == [
        Segment("mention", {"user_id": "ou_b", "name": "Bot"}),
        Segment("text", {"text": " and "}),
        Segment("mention", {"user_id": "ou_y", "name": "Yu"}),
        Segment("text", {"text": ", @_user_2 "}),
        Segment("mention", {"user_id": "all", "name": "all"}),
    ]
    nameless = [{"key": "@_user_1", "id": None, "name": None}, {"key": "@_user_2", "id": "u2", "name": "Zoe"}]
    assert read(message({"text": "@_user_1 @_user_2"}, mentions=nameless)).text == "@@_user_1 @Zoe"


def test_without_knowing_itself_a_bot_knows_only_private_chats_to_be_meant_for_it() -> None:
    assert read(message(mentions=[mention("ou_b", "Bot")]), bot=None).to_me is None
    private = read(message(chat_type="p2p"), bot=None)
    assert (private.to_me, private.chat) == (True, Chat(id="oc_1", type="private"))


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        (None, None),
        ({"sender_type": "user"}, None),
        ({"sender_id": {}}, None),
        ({"sender_id": {"user_id": "u"}}, Sender(id="u", ids={"user_id": "u"})),
        (
            {"sender_id": {"open_id": "o"}, "sender_type": "app"},
            Sender(id="o", ids={"open_id": "o"}, is_bot=True),
        ),
    ],
)
def test_a_sender_is_who_is_known(sender: object, expected: Sender | None) -> None:
    payload = message()
    payload["event"]["sender"] = sender
    assert read(payload).sender == expected


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("unheard-of", '{"file_key":"f"}'),
        ("audio", '{"duration":1}'),
        ("text", "not json"),
        ("text", "7"),
        ("text", '{"image_key":"i"}'),
        ("text", "[" * 5000),
        ("post", "{}"),
        ("post", "[]"),
        ("image", "{}"),
    ],
)
def test_a_message_of_another_type_or_shape_is_handed_on_raw_with_what_is_known(
    kind: str, content: str
) -> None:
    payload = message(kind=kind)
    payload["event"]["message"]["content"] = content
    event = read(payload)
    assert (event.type, event.dedup_key) == ("platform.raw", "e:e-1")
    assert (event.chat, event.message_id, event.segments) == (Chat("oc_1", "group"), "om_1", None)
    assert not is_understood(event)


@pytest.mark.parametrize(
    ("change", "chat", "message_id"),
    [
        ({"message_id": None}, Chat("oc_1", "group"), None),
        ({"chat_id": 7}, None, "om_1"),
        ({"message_type": 7}, Chat("oc_1", "group"), "om_1"),
    ],
)
def test_a_message_without_that_which_makes_it_one_is_raw_and_keeps_its_place(
    change: dict[str, Any], chat: Chat | None, message_id: str | None
) -> None:
    event = read(message(**change))
    assert (event.type, event.dedup_key, event.chat) == ("platform.raw", "e:e-1", chat)
    assert (event.message_id, event.time) == (message_id, 1700000000.999)
    assert not is_understood(event)


def test_a_field_of_a_wrong_type_costs_itself_and_not_the_message() -> None:
    payload = message(
        {"text": "@_user_1 @_user_2"},
        mentions=[mention("ou_b", "Bot"), {"key": 7}, 7, {"key": "@_user_2", "id": 7, "name": ["Yu"]}],
        parent_id=7,
        thread_id=["t"],
        create_time={"at": 1},
        chat_type=None,
    )
    payload["event"]["sender"] = {"sender_id": {"open_id": "ou_x", "user_id": 7}, "sender_type": 1}
    event = read(payload)
    assert (event.type, event.text, event.to_me) == ("message.created", "@Bot @@_user_2", True)
    assert (event.sender, event.reply_to) == (Sender(id="ou_x", ids={"open_id": "ou_x"}), None)
    assert (event.chat, event.time) == (Chat("oc_1", "group"), 1700000000.999)
    assert read(message(mentions="none")).text == "hi"


def test_a_message_without_an_id_is_no_message() -> None:
    assert read(message(message_id="")).type == "platform.raw"


def test_an_edit_is_no_duplicate_of_its_message() -> None:
    payload = message({"text": "better"}, update_time="1700000009000")
    payload["header"] |= {"event_type": "im.message.updated_v1", "event_id": "e-9"}
    event = read(payload)
    assert (event.type, event.text, event.message_id) == ("message.updated", "better", "om_1")
    assert (event.dedup_key, event.time) == ("e:e-9", 1700000009.0)
    payload["event"]["message"]["content"] = "?"
    assert (read(payload).type, is_understood(read(payload))) == ("platform.raw", False)
    payload["event"]["message"]["content"] = None
    assert read(payload).type == "platform.raw"


@pytest.mark.parametrize(
    ("payload", "key", "time"),
    [
        (
            {"uuid": "u-1", "ts": "1502199207.7171419", "event": {"type": "message"}},
            "e:u-1",
            1502199207.7171419,
        ),
        ({"header": {"event_id": "e-1", "create_time": 1700000000000}}, "e:e-1", 1700000000.0),
        ({"header": {"event_id": 7, "event_type": ["x"]}, "event": []}, None, 5.0),
        ({"header": {"create_time": "soon"}, "ts": True}, None, 5.0),
        ({"header": {"create_time": "-1"}, "ts": "inf"}, None, 5.0),
        ({"header": {"create_time": 10**400}, "ts": "nan"}, None, 5.0),
        ({}, None, 5.0),
    ],
)
def test_what_is_not_known_is_raw_with_the_best_key_and_time(
    payload: dict[str, Any], key: str | None, time: float
) -> None:
    event = read(payload)
    assert (event.type, event.dedup_key, event.time) == ("platform.raw", key, time)
    assert is_understood(event)


def test_unknown_events_of_a_chat_keep_its_order() -> None:
    event = read({"header": {"event_type": "im.chat.painted_v9"}, "event": {"chat_id": "oc_7"}})
    assert event.chat == Chat("oc_7", "group")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"no json",
        b"[1]",
        b'"x"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 5000,
        b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
    ],
)
def test_what_is_no_json_object_is_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedEvent):
        normalise(payload, stamp=stamp())


def test_what_cannot_be_carried_costs_the_value_and_not_the_event() -> None:
    numbers = rb'"n":123456789012345678901234567890,"m":[-9999999999999999999],"k":1234567890123456789'
    data = b"{" + numbers + rb',"s":"\ud83dx","f":1e999}'
    payload = read_payload(data)
    assert payload["n"] == "123456789012345678901234567890"
    assert payload["m"] == ["-9999999999999999999"]
    assert payload["k"] == 1234567890123456789
    assert payload["s"] == "\ufffdx"
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(payload))["s"] == "\ufffdx"
    assert read_payload(b'{"n":123456789012345678901234567890}') == {"n": "123456789012345678901234567890"}


def test_many_brackets_are_fine_and_only_depth_is_not() -> None:
    wide = b'{"a":[' + b"[]," * 10_000 + b"[]]}"
    assert len(read_payload(wide)["a"]) == 10_001
    deepest = b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH
    assert msgspec.msgpack.encode(read_payload(deepest))
