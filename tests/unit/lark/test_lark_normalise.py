"""Payloads as events."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwire_connectors.base import Stamp
from longwire_connectors.lark.content import Mention, read_content
from longwire_connectors.lark.normalise import normalise
from longwire_connectors.lark.payload import MalformedEvent, read_payload
from longwire_protocol.event import Bot, Chat, Event, Resource, Segment, Sender

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


def test_images_and_files_are_resources() -> None:
    image = read(message({"image_key": "img_1"}, kind="image", parent_id=""))
    assert (image.type, image.text) == ("message.created", None)
    assert image.segments == [Segment("image", {"file_id": "img_1"})]
    assert image.resources == [Resource(id="img_1", kind="image")]
    file = read(message({"file_key": "file_1", "file_name": "a.pdf"}, kind="file"))
    assert file.resources == [Resource(id="file_1", kind="file", name="a.pdf")]
    nameless = read(message({"file_key": "file_1"}, kind="file", parent_id=None))
    assert nameless.segments == [Segment("file", {"file_id": "file_1"})]


POST = {
    "title": "Title",
    "content": [
        [
            {"tag": "text", "text": "hello ", "style": []},
            {"tag": "at", "user_id": "@_user_1", "user_name": "Bot"},
            {"tag": "at", "user_id": "ou_z", "user_name": "Zoe"},
            {"tag": "at", "user_id": "ou_q"},
            {"tag": "at", "user_id": "@_all"},
        ],
        [{"tag": "img", "image_key": "img_1"}, {"tag": "media", "file_key": "f_1", "image_key": "img_2"}],
        [
            {"tag": "a", "href": "https://x", "text": "link"},
            {"tag": "a", "href": "https://y"},
            {"tag": "emotion", "emoji_type": "SMILE"},
            {"tag": "hr"},
            {"tag": "code_block", "text": "x = 1"},
            {"tag": "unheard-of"},
        ],
    ],
}


@pytest.mark.parametrize("content", [POST, {"zh_cn": POST}])
def test_a_post_is_read_paragraph_by_paragraph(content: object) -> None:
    event = read(message(content, kind="post", mentions=[mention("ou_b", "Bot")], parent_id=None))
    assert event.text == "Title\nhello @Bot@Zoe@ou_q@all\n\nlinkhttps://y[SMILE]---x = 1"
    assert event.to_me is True
    assert event.resources == [Resource(id="img_1", kind="image"), Resource(id="f_1", kind="video")]
    assert event.segments is not None
    assert event.segments[0] == Segment("text", {"text": "Title\nhello "})
    assert Segment("text", {"text": "link", "href": "https://x"}) in event.segments


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("audio", '{"file_key":"f"}'),
        ("text", "not json"),
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


@pytest.mark.parametrize("change", [{"message_id": None}, {"chat_id": 7}, {"mentions": "none"}])
def test_a_message_of_no_known_shape_at_all_is_raw(change: dict[str, Any]) -> None:
    event = read(message(**change))
    assert (event.type, event.dedup_key, event.chat) == ("platform.raw", "e:e-1", None)
    assert event.time == 1700000000.999


def test_a_message_without_an_id_is_no_message() -> None:
    assert read(message(message_id="")).type == "platform.raw"


def test_a_card_click_says_who_clicked_where_and_gives_no_token_away() -> None:
    payload = {
        "header": {"event_id": "e-2", "event_type": "card.action.trigger", "create_time": "1700000000123456"},
        "event": {
            "operator": {"tenant_key": "x", **IDS},
            "token": "c-secret",
            "action": {"value": {"a": 1}, "tag": "button"},
            "context": {"open_message_id": "om_1", "open_chat_id": "oc_1", "preview_token": "p-secret"},
        },
    }
    event = read(payload)
    assert (event.type, event.dedup_key, event.message_id) == ("card.action", "e:e-2", "om_1")
    assert (event.chat, event.sender) == (Chat("oc_1", "group"), Sender(id="ou_x", ids=IDS))
    assert event.time == 1700000000.123456
    assert "secret" not in json.dumps(event.raw)
    bare = read({"header": {"event_type": "card.action.trigger"}, "event": {}})
    assert (bare.chat, bare.sender, bare.message_id, bare.dedup_key) == (None, None, None, None)


def reaction(kind: str, **changes: Any) -> dict[str, Any]:
    event = {
        "message_id": "om_1",
        "reaction_type": {"emoji_type": "SMILE"},
        "user_id": {"open_id": "ou_x"},
        "action_time": "1700",
        **changes,
    }
    header = {"event_id": "e-3", "event_type": f"im.message.reaction.{kind}_v1"}
    return {"header": header, "event": {name: value for name, value in event.items() if value is not None}}


def test_reactions_are_known_by_what_makes_them_one() -> None:
    assert read(reaction("created")).dedup_key == "r:om_1:ou_x:SMILE:added:1700"
    assert read(reaction("deleted")).dedup_key == "r:om_1:ou_x:SMILE:removed:1700"
    by_app = reaction("created", user_id=None, app_id="cli_9")
    assert read(by_app).dedup_key == "r:om_1:cli_9:SMILE:added:1700"
    assert read(reaction("created", action_time=None)).dedup_key == "e:e-3"


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


def test_events_of_a_chat_keep_its_order() -> None:
    event = read({"header": {"event_type": "im.chat.updated_v1"}, "event": {"chat_id": "oc_7"}})
    assert event.chat == Chat("oc_7", "group")


@pytest.mark.parametrize(
    "payload", [b"", b"no json", b"[1]", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 5000]
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


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from([*message()["event"]["message"], "mentions", "thread_id"])


@given(st.dictionaries(KEYS, JSON_VALUES, max_size=4))
def test_no_shape_of_a_message_makes_it_fail_or_unfit_for_the_journal(changes: dict[str, Any]) -> None:
    event = read(message() | {"event": {"message": message()["event"]["message"] | changes}})
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=Event).type == event.type


@given(st.text(max_size=40), st.sampled_from(["text", "post", "image", "file", "sticker"]))
def test_no_content_makes_reading_fail(content: str, kind: str) -> None:
    read_content(kind, content, mentions={"@_user_1": Mention("ou_1", "A")})
