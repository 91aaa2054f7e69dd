"""Messages to DingTalk: what is asked for, and the way they take."""

import json

import msgspec
import pytest

from longwire_connectors.dingtalk.options import DingTalkOptions
from longwire_connectors.dingtalk.outgoing import (
    ToGroup,
    ToPerson,
    openapi_body,
    read_message,
    target_of,
    webhook_body,
)
from longwire_connectors.dingtalk.webhooks import MAX_KEPT, Session, Webhooks, is_loopback_http
from longwire_protocol.errors import CommandError, RetCode

GROUP = {"id": "cidG", "type": "group"}
PRIVATE = {"id": "cidP", "type": "private"}
HOOK = "https://oapi.dingtalk.com/robot/sendBySession?session=1"


def session(chat: str = "c", *, sender: str = "u", url: str = HOOK, life_s: float | None = 5400.0) -> Session:
    return Session(chat=chat, is_private=True, sender=sender, staff_id=sender, webhook=url, life_s=life_s)


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({}, "`chat` or `user`"),
        ({"chat": ""}, "`chat`"),
        ({"chat": 1}, "`chat`"),
        ({"chat": {"type": "group"}}, "`chat`"),
        ({"chat": "c", "user": ""}, "`user`"),
        ({"chat": "c", "reply_to": 1}, "`reply_to`"),
        ({"chat": "c"}, "exactly one"),
        ({"chat": "c", "text": "x", "segments": []}, "exactly one"),
        ({"chat": "c", "card": {}}, "`card` is unsupported"),
        ({"chat": "c", "text": " "}, "`text`"),
        ({"chat": "c", "text": 1}, "`text`"),
        ({"chat": "c", "segments": {}}, "`segments`"),
        ({"chat": "c", "segments": []}, "`segments`"),
        ({"chat": "c", "segments": [{"type": "image", "data": {}}]}, "segments[0]"),
        ({"chat": "c", "text": "x", "colour": "red"}, "colour"),
    ],
)
def test_a_bad_parameter_is_named(params: dict, named: str) -> None:
    with pytest.raises(CommandError) as refusal:
        read_message(params)
    assert refusal.value.retcode == RetCode.BAD_PARAM
    assert named in refusal.value.message


def test_mentions_are_readable_and_named_to_the_webhook() -> None:
    segments = [
        {"type": "reply", "data": {"message_id": "m"}},
        {"type": "mention", "data": {"user_id": "u1", "name": "Ada"}},
        {"type": "text", "data": {"text": " hi "}},
        {"type": "mention", "data": {"user_id": "u2"}},
    ]
    message = read_message({"chat": "cid", "segments": segments})
    assert webhook_body(message) == {
        "msgtype": "text",
        "text": {"content": "@Ada hi @u2"},
        "at": {"atUserIds": ["u1", "u2"], "isAtAll": False},
    }
    assert "at" not in webhook_body(read_message({"chat": "c", "text": "x"}))


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
    params: dict, partner: str | None, expected: ToPerson | ToGroup
) -> None:
    assert target_of(read_message({**params, "text": "x"}), partner=partner) == expected


def test_a_private_chat_with_an_unknown_partner_needs_a_user() -> None:
    with pytest.raises(CommandError) as refusal:
        target_of(read_message({"chat": PRIVATE, "text": "x"}), partner=None)
    assert "`user`" in refusal.value.message


def test_the_bodies_are_those_of_openapi() -> None:
    message = read_message({"chat": "cidG", "text": "né"})
    body = openapi_body(message, ToGroup("cidG"), robot_code="r")
    assert json.loads(body.pop("msgParam")) == {"content": "né"}
    assert body == {"robotCode": "r", "openConversationId": "cidG", "msgKey": "sampleText"}
    assert openapi_body(message, ToPerson("u"), robot_code="r")["userIds"] == ["u"]


def test_a_webhook_is_found_for_the_sender_and_for_the_chat_until_it_ends() -> None:
    hooks = Webhooks()
    hooks.learn(session(sender="u", url=HOOK), now=0.0)
    hooks.learn(session(sender="v", url=f"{HOOK}2", life_s=100.0), now=0.0)
    assert hooks.find("c", user="u", now=1.0) == HOOK
    assert hooks.find("c", user=None, now=1.0) == f"{HOOK}2"
    assert hooks.find("c", user="w", now=1.0) == f"{HOOK}2"
    assert hooks.find("c", user="v", now=71.0) is None
    assert hooks.find("c", user="u", now=5369.0) == HOOK
    assert hooks.find("c", user="u", now=5371.0) is None
    assert hooks.find("d", user=None, now=1.0) is None
    assert hooks.partner("c") == "v"


@pytest.mark.parametrize(
    "bad",
    [
        session(life_s=None),
        session(life_s=20.0),
        session(url="http://127.0.0.1/x"),
        session(url="https:///x"),
        session(url="https://[x"),
        session(url="ftp://oapi.dingtalk.com"),
    ],
)
def test_a_webhook_that_ends_soon_or_is_not_https_is_not_kept(bad: Session) -> None:
    hooks = Webhooks()
    hooks.learn(bad, now=0.0)
    assert hooks.find("c", user=None, now=0.0) is None


def test_plain_http_is_for_a_simulator_on_this_machine() -> None:
    hooks = Webhooks(allows_http=True)
    hooks.learn(session(url="http://127.0.0.1:1/x"), now=0.0)
    hooks.learn(session("d", url="http://10.0.0.1/x"), now=0.0)
    assert hooks.find("c", user=None, now=0.0) == "http://127.0.0.1:1/x"
    assert hooks.find("d", user=None, now=0.0) is None
    assert is_loopback_http("http://127.0.0.1:9")
    assert not is_loopback_http("https://127.0.0.1:9")
    assert not is_loopback_http("http://api.dingtalk.com")


def test_the_memory_of_chats_is_bounded() -> None:
    hooks = Webhooks()
    for number in range(2 * MAX_KEPT):
        hooks.learn(session(f"c{number}"), now=0.0)
    assert hooks.find("c0", user=None, now=1.0) is None
    assert hooks.partner("c0") is None
    assert hooks.find(f"c{2 * MAX_KEPT - 1}", user=None, now=1.0) == HOOK
    assert hooks.partner(f"c{MAX_KEPT}") == "u"


def test_a_group_has_no_partner() -> None:
    hooks = Webhooks()
    hooks.learn(Session(chat="g", is_private=False, staff_id="u"), now=0.0)
    assert hooks.partner("g") is None


def test_options_take_a_slash_at_the_end_of_the_url() -> None:
    options = DingTalkOptions(client_id="a", client_secret="b", api_base="http://127.0.0.1:1/")
    assert options.base == "http://127.0.0.1:1"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.dingtalk.com",
        "ftp://x",
        "https://",
        "http://x:y",
        "http://u:p@x",
        "http://x?a=1",
        "http://x:0",
    ],
)
def test_options_refuse_what_is_no_base_url(url: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"\$\.api_base"):
        msgspec.convert({"client_id": "a", "client_secret": "b", "api_base": url}, DingTalkOptions)
