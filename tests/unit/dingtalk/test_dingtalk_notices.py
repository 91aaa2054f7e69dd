"""What happens in an organisation besides messages."""

from typing import Any

import pytest

from longwire_connectors.base import Stamp
from longwire_connectors.dingtalk.normalise import Frame, is_understood, to_event
from longwire_connectors.dingtalk.wire import EVENT
from longwire_protocol.event import Chat, Event, Segment, Sender

STAMP = Stamp(id="ev-1", recv_time=5.0, tenant="t", account="a", platform="dingtalk", bot=None)
DATA: dict[str, Any] = {
    "timeStamp": 1608027106990,
    "chatId": "chat28367b03",
    "openConversationId": "cidmfW",
    "operator": "manager164",
    "operatorUnionId": "ABNi",
}
BY = Sender(id="manager164", ids={"staff_id": "manager164", "union_id": "ABNi"})


def read(name: Any, data: Any) -> Event:
    headers = {"topic": "*", "eventType": name, "eventId": "e1", "eventBornTime": "1608027106991"}
    return to_event(Frame(type=EVENT, headers=headers, data=data), STAMP)


def mention(*ids: str) -> list[Segment]:
    return [Segment("mention", {"user_id": given, "name": given}) for given in ids]


@pytest.mark.parametrize(
    ("name", "type_"), [("chat_add_member", "member.joined"), ("chat_remove_member", "member.left")]
)
def test_members_who_come_and_go_are_mentioned(name: str, type_: str) -> None:
    event = read(name, DATA | {"userId": ["u1", 7, "u3"], "unionId": ["n1", "n2"]})
    assert (event.type, event.sender, event.dedup_key) == (type_, BY, "e:e1")
    assert (event.chat, event.time) == (Chat("cidmfW", "group"), 1608027106.991)
    assert event.segments == mention("u1", "n2", "u3")


def test_older_captures_write_their_fields_with_capitals() -> None:
    capitals = {key[:1].upper() + key[1:]: value for key, value in DATA.items()}
    event = read("chat_add_member", capitals | {"UserId": ["u1"]})
    assert (event.chat, event.sender, event.segments) == (Chat("cidmfW", "group"), BY, mention("u1"))


def test_who_leaves_alone_is_both() -> None:
    event = read("chat_quit", DATA)
    assert (event.type, event.sender, event.segments) == ("member.left", BY, mention("manager164"))
    assert read("chat_quit", {"chatId": "chat1"}).segments is None


def test_chats_change_and_end() -> None:
    named = read("chat_update_title", DATA | {"title": "New"})
    assert (named.type, named.chat) == ("chat.updated", Chat("cidmfW", "group", name="New"))
    assert read("chat_update_owner", DATA | {"owner": "u9"}).type == "chat.updated"
    ended = read("chat_disband", {"chatId": "chat1"})
    assert (ended.type, ended.chat, ended.sender) == ("chat.deleted", Chat("chat1", "group"), None)
    assert ended.segments is None


@pytest.mark.parametrize(
    "name", ["user_add_org", "bpms_instance_change", "im_cool_app_install", "new-one.v9"]
)
def test_what_only_dingtalk_has_keeps_its_name(name: str) -> None:
    event = read(name, {"optStaffId": "manager164", "userId": ["u1"], "openConversationId": "cidmfW"})
    assert (event.type, event.chat) == (f"dingtalk.{name}", Chat("cidmfW", "group"))
    assert (event.sender, event.segments) == (Sender(id="manager164", ids={"staff_id": "manager164"}), None)
    assert is_understood(event)


@pytest.mark.parametrize("name", [None, 7, "", "a b", "\u5b89", "x" * 101])
def test_an_event_without_a_proper_name_is_raw(name: Any) -> None:
    event = read(name, DATA)
    assert (event.type, event.chat, event.dedup_key) == ("platform.raw", Chat("cidmfW", "group"), "e:e1")
    assert not is_understood(event)


@pytest.mark.parametrize("data", [None, "text", [1], {}, {"openConversationId": 7, "userId": ["u1"]}])
def test_an_event_of_a_chat_that_names_none_is_raw(data: Any) -> None:
    event = read("chat_add_member", data)
    assert (event.type, event.chat, event.sender) == ("platform.raw", None, None)
    assert not is_understood(event)
    assert read("user_add_org", data).type == "dingtalk.user_add_org"
