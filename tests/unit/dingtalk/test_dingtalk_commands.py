"""Commands to DingTalk: what is asked for, as its robots' messages, cards and REST calls."""

import json
from typing import Any

import pytest

from longwire_connectors.dingtalk import bodies, calls, cards, outcomes
from longwire_connectors.dingtalk.bodies import Content, Message, content_of, title_of
from longwire_connectors.dingtalk.calls import OfMessage, Reaction, Request
from longwire_connectors.dingtalk.cards import STREAM_TEMPLATE, NewCard, Streamed
from longwire_connectors.dingtalk.connector import DingTalkConnector
from longwire_connectors.dingtalk.openapi import old_base
from longwire_connectors.dingtalk.params import Placed, Target, ToGroup, ToPerson, place_of, read, target_of
from longwire_connectors.dingtalk.streaming import Card
from longwire_protocol.errors import CommandError, RetCode

GROUP = {"id": "cidG", "type": "group"}
PRIVATE = {"id": "cidP", "type": "private", "name": "ignored"}
TEMPLATE = {"cardTemplateId": "t.schema", "cardData": {"cardParamMap": {"title": "x"}}}


def content(**params: Any) -> Content | NewCard:
    return content_of(read({"chat": "cid", **params}, Message))


def message(**params: Any) -> Content:
    made = content(**params)
    assert isinstance(made, Content)
    return made


def segment(kind: str, **data: Any) -> dict[str, Any]:
    return {"type": kind, "data": data}


def create(params: dict[str, Any]) -> None:
    made = read(params, Message)
    content_of(made)
    target_of(place_of(made), partner=None)


def refusal_of(params: dict[str, Any]) -> CommandError:
    with pytest.raises(CommandError) as refusal:
        create(params)
    return refusal.value


# What is said.


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"text": "x"}, "`chat` or `user`"),
        ({"chat": "", "text": "x"}, "`chat`"),
        ({"chat": 1, "text": "x"}, "$.chat"),
        ({"chat": {"type": "group"}, "text": "x"}, "$.chat"),
        ({"chat": {"id": ""}, "text": "x"}, "`chat`"),
        ({"chat": "c", "user": "", "text": "x"}, "`user`"),
        ({"chat": "c", "reply_to": 1, "text": "x"}, "$.reply_to"),
        ({"chat": "c", "reply_to": "", "text": "x"}, "`reply_to`"),
        ({"chat": "c"}, "exactly one"),
        ({"chat": "c", "text": "x", "segments": []}, "exactly one"),
        ({"chat": "c", "card": {}}, "`card`"),
        ({"chat": "c", "card": {"msgKey": "sampleText", "msgParam": {}, "more": 1}}, "`card`"),
        ({"chat": "c", "card": {"cardTemplateId": "t"}}, "cardData"),
        ({"chat": "c", "card": {"cardTemplateId": "", "cardData": {"cardParamMap": {}}}}, "cardTemplateId"),
        ({"chat": "c", "card": {"cardTemplateId": "t", "cardData": {"cardParamMap": {"n": 1}}}}, "`card`"),
        ({"chat": "c", "text": " "}, "`text`"),
        ({"chat": "c", "markdown": ""}, "`markdown`"),
        ({"chat": "c", "text": 1}, "$.text"),
        ({"chat": "c", "segments": {}}, "$.segments"),
        ({"chat": "c", "segments": []}, "`segments`"),
        ({"chat": "c", "segments": [segment("reply", message_id="m")]}, "`segments`"),
        ({"chat": "c", "segments": [segment("text", text=" "), segment("text", text=" ")]}, "`segments`"),
        ({"chat": "c", "segments": [segment("image")]}, "segments[0]"),
        ({"chat": "c", "segments": [segment("text", text="a"), segment("file", file_id="f")]}, "segments[1]"),
        ({"chat": "c", "segments": [segment("file", file_id="f", name="report")]}, "name"),
        ({"chat": "c", "segments": [segment("audio", file_id="f")]}, "duration"),
        ({"chat": "c", "segments": [segment("audio", file_id="f", duration=True)]}, "duration"),
        ({"chat": "c", "segments": [segment("video", file_id="f", duration=1)]}, "cover_id"),
        ({"chat": "c", "text": "x", "colour": "red"}, "colour"),
    ],
)
def test_a_bad_parameter_is_named(params: dict[str, Any], named: str) -> None:
    refusal = refusal_of(params)
    assert refusal.retcode == RetCode.BAD_PARAM
    assert named in refusal.message


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"chat": "c", "text": "x", "thread": True}, "`thread`"),
        ({"chat": "c", "segments": [segment("sticker", file_id="s")]}, "segments[0]"),
    ],
)
def test_what_dingtalk_has_not_is_unsupported(params: dict[str, Any], named: str) -> None:
    refusal = refusal_of(params)
    assert refusal.retcode == RetCode.UNSUPPORTED
    assert named in refusal.message


def test_mentions_are_readable_and_named_to_the_webhook() -> None:
    said = message(
        segments=[
            segment("reply", message_id="m"),
            segment("mention", user_id="u1", name="Ada"),
            segment("text", text=" hi "),
            segment("mention", user_id="u2"),
        ]
    )
    assert said.webhook == {
        "msgtype": "text",
        "text": {"content": "@Ada hi @u2"},
        "at": {"atUserIds": ["u1", "u2"], "isAtAll": False},
    }
    assert said.param == {"content": "@Ada hi @u2"}
    assert "at" not in (message(text="x").webhook or {})


MEDIA = [
    (segment("image", file_id="@m"), "sampleImageMsg", {"photoURL": "@m"}),
    (
        segment("file", file_id="@m", name="a.b.PDF"),
        "sampleFile",
        {"mediaId": "@m", "fileName": "a.b.PDF", "fileType": "pdf"},
    ),
    (segment("audio", file_id="@m", duration=900), "sampleAudio", {"mediaId": "@m", "duration": "900"}),
    (
        segment("video", file_id="@m", duration=7, cover_id="@c"),
        "sampleVideo",
        {"videoMediaId": "@m", "videoType": "mp4", "picMediaId": "@c", "duration": "7"},
    ),
]


@pytest.mark.parametrize(("piece", "key", "param"), MEDIA)
def test_a_file_is_a_message_by_itself(piece: dict[str, Any], key: str, param: dict[str, Any]) -> None:
    assert message(segments=[piece]) == Content(key=key, param=param)


def test_markdown_and_images_among_words_become_markdown() -> None:
    assert message(markdown="# *Hello* world\nmore") == Content(
        key="sampleMarkdown",
        param={"title": "Hello world", "text": "# *Hello* world\nmore"},
        webhook={
            "msgtype": "markdown",
            "markdown": {"title": "Hello world", "text": "# *Hello* world\nmore"},
        },
    )
    mixed = message(segments=[segment("text", text="see"), segment("image", file_id="@m")])
    assert mixed.param == {"title": "see", "text": "see\n\n![](@m)\n\n"}
    assert message(segments=[segment("markdown", text="**x**")]).key == "sampleMarkdown"


@pytest.mark.parametrize(
    ("markdown", "title"),
    [
        ("> - `a` [b](https://c)", "a b"),
        ("![](@m)\n\nthen", "then"),
        ("***", bodies.FALLBACK_TITLE),
        ("x" * 99, "x" * bodies.MAX_TITLE),
    ],
)
def test_a_title_is_the_first_words(markdown: str, title: str) -> None:
    assert title_of(markdown) == title


def test_a_card_is_a_robots_message_or_made_from_a_template() -> None:
    sample = {"msgKey": "sampleActionCard", "msgParam": {"title": "t", "text": "x", "singleTitle": "go"}}
    assert message(card=sample) == Content(key="sampleActionCard", param=sample["msgParam"])
    assert json.loads(message(card=sample).encoded["msgParam"]) == sample["msgParam"]
    made = content(card=TEMPLATE)
    assert isinstance(made, NewCard)
    assert made.card_data.card_param_map == {"title": "x"}


# Where.


@pytest.mark.parametrize(
    ("params", "partner", "expected"),
    [
        ({"user": "u"}, None, ToPerson("u")),
        ({"chat": "cidG"}, None, ToGroup("cidG")),
        ({"chat": "0300staff"}, None, ToPerson("0300staff")),
        ({"chat": "cidP"}, "p", ToPerson("p")),
        ({"chat": {"id": "cidG"}}, None, ToGroup("cidG")),
        ({"chat": GROUP, "user": "u"}, None, ToGroup("cidG")),
        ({"chat": PRIVATE, "user": "u"}, "p", ToPerson("u")),
        ({"chat": PRIVATE}, "p", ToPerson("p")),
        ({"chat": {"id": "0300", "type": "private"}}, None, ToPerson("0300")),
    ],
)
def test_the_target_follows_from_chat_and_user(
    params: dict[str, Any], partner: str | None, expected: Target
) -> None:
    assert target_of(place_of(read(params, Placed)), partner=partner) == expected


def test_a_private_chat_with_an_unknown_partner_needs_a_user() -> None:
    assert "`user`" in refusal_of({"chat": PRIVATE, "text": "x"}).message


# The calls.


def test_messages_are_sent_recalled_and_asked_for_by_where_they_are() -> None:
    said = message(text="né").encoded
    assert json.loads(said["msgParam"]) == {"content": "né"}
    group, person = ToGroup("cidG"), ToPerson("u")
    sent = calls.send(group, said, robot_code="r")
    assert sent.path == "/v1.0/robot/groupMessages/send"
    assert sent.body == {"robotCode": "r", "openConversationId": "cidG", **said}
    assert not sent.is_harmless
    assert (calls.send(person, said, robot_code="r").body or {})["userIds"] == ["u"]
    recalled = calls.recall("k", group, robot_code="r")
    assert recalled.path == "/v1.0/robot/groupMessages/recall"
    assert recalled.body == {"robotCode": "r", "processQueryKeys": ["k"], "openConversationId": "cidG"}
    assert calls.recall("k", person, robot_code="r").path == "/v1.0/robot/otoMessages/batchRecall"
    assert calls.status("k", group, robot_code="r").body == {
        "robotCode": "r",
        "processQueryKey": "k",
        "openConversationId": "cidG",
    }
    asked = calls.status("k", person, robot_code="r")
    assert (asked.method, asked.query) == ("GET", {"robotCode": "r", "processQueryKey": "k"})


@pytest.mark.parametrize(
    ("answer", "status", "read_by"),
    [
        ({"sendStatus": "SUCCESS", "readUserIds": ["u", 1]}, "success", ["u"]),
        ({"readUserIds": None}, "unknown", []),
        (
            {
                "sendStatus": "SUCCESS",
                "messageReadInfoList": [
                    {"userId": "u", "readStatus": "READ"},
                    {"userId": "v", "readStatus": "UNREAD"},
                    7,
                ],
            },
            "success",
            ["u"],
        ),
    ],
)
def test_both_answers_on_a_message_read_alike(
    answer: dict[str, Any], status: str, read_by: list[str]
) -> None:
    told = calls.read_status("k", answer)
    assert told == {"message_id": "k", "status": status, "read_by": read_by, "raw": answer}


def test_an_emotion_names_message_chat_and_text() -> None:
    params = read({"message_id": "m", "emoji": "👍"}, Reaction)
    added = calls.react(params, "cidG", robot_code="r", is_added=True)
    assert added.path == "/v1.0/robot/emotion/reply"
    assert added.body == {
        "robotCode": "r",
        "openMsgId": "m",
        "openConversationId": "cidG",
        "emotionType": 2,
        "emotionName": "👍",
        "textEmotion": {
            "emotionId": "2659900",
            "emotionName": "👍",
            "text": "👍",
            "backgroundId": "im_bg_1",
        },
    }
    removed = calls.react(params, "cidG", robot_code="r", is_added=False)
    assert (removed.path, removed.body) == ("/v1.0/robot/emotion/recall", added.body)
    with pytest.raises(CommandError, match="emoji"):
        calls.react(read({"message_id": "m", "emoji": " "}, Reaction), "c", robot_code="r", is_added=True)


def test_a_file_is_asked_for_by_its_code() -> None:
    assert calls.find_file("c", robot_code="r").body == {"robotCode": "r", "downloadCode": "c"}


def test_any_call_of_the_api_can_be_made() -> None:
    new = calls.platform({"path": "/v1.0/contact/users/0300@x", "query": {"a": True, "b": 2, "c": "d"}})
    assert new == Request(
        "/v1.0/contact/users/0300@x", None, {"a": "true", "b": "2", "c": "d"}, "GET", is_harmless=True
    )
    assert not new.is_old
    old = calls.platform({"path": "/topapi/v2/user/get", "method": "POST", "body": {"userid": "u"}})
    assert old.is_old
    assert (old.body, old.is_harmless) == ({"userid": "u"}, False)


@pytest.mark.parametrize(
    "params",
    [
        {"path": ""},
        {"path": "v1.0/x"},
        {"path": "//evil.example/x"},
        {"path": "https://evil.example/x"},
        {"path": "/v1.0/../x"},
        {"path": "/v1.0/.hidden"},
        {"path": "/v1.0/x?y=1"},
        {"path": "/v1.0/x#y"},
        {"path": "/v1.0/%2e%2e/x"},
        {"path": "/@evil.example\n"},
        {"path": "/v1.0/oauth2/accessToken", "method": "POST"},
        {"path": "/v1.0/gateway/connections/open", "method": "POST"},
        {"path": "/gettoken"},
        {"path": "/topapi/x", "query": {"access_token": "t"}},
        {"path": "/topapi/x", "method": "TRACE"},
        {"path": "/topapi/x", "host": "evil.example"},
        {"path": 1},
    ],
)
def test_no_call_leaves_the_platform_or_asks_for_tokens(params: dict[str, Any]) -> None:
    with pytest.raises(CommandError) as refusal:
        calls.platform(params)
    assert refusal.value.retcode == RetCode.BAD_PARAM


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("https://api.dingtalk.com", "https://oapi.dingtalk.com"),
        ("https://api.dingtalk.com/proxy", "https://oapi.dingtalk.com/proxy"),
        ("http://127.0.0.1:7790", "http://127.0.0.1:7790"),
    ],
)
def test_the_old_host_is_beside_the_new_one(base: str, expected: str) -> None:
    assert old_base(base) == expected


# Cards.


def test_a_card_is_shown_where_it_is_wanted() -> None:
    made = content(card=TEMPLATE)
    assert isinstance(made, NewCard)
    group = cards.deliver(made, ToGroup("cidG"), track="t", robot_code="r").body or {}
    assert group["openSpaceId"] == "dtv1.card//IM_GROUP.cidG"
    assert group["imGroupOpenDeliverModel"] == {"robotCode": "r"}
    assert {name: group[name] for name in TEMPLATE} == TEMPLATE
    assert (group["outTrackId"], group["callbackType"]) == ("t", "STREAM")
    assert "privateData" not in group
    person = cards.deliver(made, ToPerson("u"), track="t", robot_code="r").body or {}
    assert person["openSpaceId"] == "dtv1.card//IM_ROBOT.u"
    assert person["imRobotOpenDeliverModel"] == {"spaceType": "IM_ROBOT", "robotCode": "r"}


def test_a_card_for_a_text_that_grows_is_dingtalks_own() -> None:
    bare, titled = content(stream={}), content(stream={"text": "a", "title": "T"})
    assert isinstance(bare, NewCard)
    assert isinstance(titled, NewCard)
    assert bare.card_template_id == STREAM_TEMPLATE
    assert bare.card_data.card_param_map["msgContent"] == ""
    assert "msgTitle" not in bare.card_data.card_param_map
    assert titled.card_data.card_param_map["msgTitle"] == "T"


def test_a_card_is_changed_by_its_variables() -> None:
    changed = cards.read_update({"message_id": "t", "card": {"cardData": {"cardParamMap": {"a": "b"}}}})
    assert isinstance(changed, Request)
    assert (changed.method, changed.path) == ("PUT", "/v1.0/card/instances")
    body = changed.body or {}
    assert (body["outTrackId"], body["cardData"]) == ("t", {"cardParamMap": {"a": "b"}})
    assert body["cardUpdateOptions"]["updateCardDataByKey"] is True
    private = cards.read_update(
        {"message_id": "t", "card": {"privateData": {"u": {"cardParamMap": {"a": "b"}}}}}
    )
    assert isinstance(private, Request)
    assert "cardData" not in (private.body or {})


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"card": {}}, "message_id"),
        ({"message_id": "", "card": {}}, "message_id"),
        ({"message_id": "t"}, "exactly one"),
        ({"message_id": "t", "card": {"colour": "red"}}, "colour"),
        ({"message_id": "t", "stream": {"text": "x", "element_id": ""}}, "element_id"),
        ({"message_id": "t", "stream": {"final": True}}, "text"),
    ],
)
def test_a_bad_change_of_a_card_is_named(params: dict[str, Any], named: str) -> None:
    with pytest.raises(CommandError, match=named) as refusal:
        cards.read_update(params)
    assert refusal.value.retcode == RetCode.BAD_PARAM


def test_a_growing_text_is_sent_as_a_whole_and_ended() -> None:
    growing = cards.read_update({"message_id": "t", "stream": {"text": "ab"}})
    ended = cards.read_update({"message_id": "t", "stream": {"text": "abc", "final": True}})
    own = cards.read_update({"message_id": "t", "stream": {"text": "x", "element_id": "body", "final": True}})
    assert isinstance(growing, Streamed)
    assert isinstance(ended, Streamed)
    assert isinstance(own, Streamed)
    call = cards.stream_text(growing, guid="g")
    assert (call.method, call.path) == ("PUT", "/v1.0/card/streaming")
    assert call.body == {
        "outTrackId": "t",
        "guid": "g",
        "key": "msgContent",
        "content": "ab",
        "isFull": True,
        "isFinalize": False,
        "isError": False,
    }
    assert cards.finish(growing) is None
    assert cards.finish(own) is None  # somebody's own template knows no `flowStatus`
    end = cards.finish(ended)
    assert end is not None
    params = (end.body or {})["cardData"]["cardParamMap"]
    assert (params["flowStatus"], params["msgContent"]) == ("3", "abc")


def test_the_newest_text_takes_the_place_of_those_that_wait() -> None:
    card = Card()
    first, second = card.arrive(is_final=False), card.arrive(is_final=False)
    assert card.is_stale(first, is_final=False)
    assert not card.is_stale(second, is_final=False)
    last, late = card.arrive(is_final=True), card.arrive(is_final=False)
    assert card.is_stale(second, is_final=False)
    assert card.is_stale(late, is_final=False)
    assert not card.is_stale(last, is_final=True)


def test_a_text_waits_for_its_time_and_for_the_one_on_its_way() -> None:
    card = Card(next_at=10.0)
    assert card.wait_s(9.5) == 0.5
    assert card.wait_s(11.0) == 0.0
    card.is_busy = True
    assert card.wait_s(11.0) is None


# Answers.


def test_who_does_not_get_a_message_is_told() -> None:
    target = ToPerson("u")
    outcomes.check_receiver({"invalidStaffIdList": ["v"]}, target)
    outcomes.check_receiver({"invalidStaffIdList": ["u"]}, ToGroup("u"))
    with pytest.raises(CommandError) as refusal:
        outcomes.check_receiver({"invalidStaffIdList": ["u"]}, target)
    assert refusal.value.retcode == RetCode.PLATFORM_REFUSED
    with pytest.raises(CommandError) as refusal:
        outcomes.check_receiver({"flowControlledStaffIdList": ["u"]}, target)
    assert (refusal.value.retcode, refusal.value.retryable) == (RetCode.PLATFORM_LIMITED, True)
    assert refusal.value.data == {"platform_code": "flowControlledStaffId", "limit": "chat"}


def test_what_was_not_recalled_is_told() -> None:
    outcomes.check_recalled({"successResult": ["k"], "failedResult": {}}, "k")
    with pytest.raises(CommandError) as refusal:
        outcomes.check_recalled({"failedResult": {"k": "timeout"}}, "k")
    assert refusal.value.data == {"platform_code": "timeout"}
    with pytest.raises(CommandError, match="failedResult"):
        outcomes.check_recalled({"failedResult": {"k": None}}, "k")


def test_a_card_is_recalled_by_its_carrier() -> None:
    shown = {"result": {"deliverResults": [{"success": True, "carrierId": "c"}]}}
    assert outcomes.card_carrier(shown) == "c"
    assert outcomes.card_carrier({"result": {}}) is None
    with pytest.raises(CommandError) as refusal:
        outcomes.card_carrier({"result": {"deliverResults": [{"success": False, "errorMsg": "no"}]}})
    assert refusal.value.data == {"platform_code": "no"}
    with pytest.raises(CommandError, match="deliverResults"):
        outcomes.card_carrier({"result": {"deliverResults": [{"success": False}]}})


# What is declared.


def test_every_command_of_the_protocol_is_there_or_missing_with_a_reason() -> None:
    declaration = DingTalkConnector.declaration
    assert not set(declaration.methods) & declaration.supported.missing.keys()
    assert set(declaration.supported.contents) <= set(declaration.methods)
    assert all(declaration.supported.missing.values())


def test_the_parameters_of_a_message_say_where_it_is() -> None:
    params = read({"message_id": "k", "chat": GROUP, "account": "a", "tenant": "t"}, OfMessage)
    assert target_of(place_of(params), partner=None) == ToGroup("cidG")
