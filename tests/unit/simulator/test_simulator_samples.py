"""Every event the simulators can make is one that the connectors understand."""

import json

import pytest

from longwire_connectors.base import Stamp
from longwire_connectors.dingtalk import normalise as dingtalk
from longwire_connectors.lark import normalise as lark
from longwire_connectors.simulator import dingtalk_events, lark_contents, lark_events, lark_notices
from longwire_connectors.simulator.errors import AdminRequestError
from longwire_connectors.simulator.injections import (
    AtUser,
    DingTalkEvent,
    LarkEvent,
    LarkMention,
    dingtalk_ids,
    lark_ids,
)
from longwire_connectors.simulator.timings import Timings
from longwire_protocol.event import Bot, Event, Segment

NOW = 1_700_000_000.5
LARK_TYPES = sorted(lark_notices._BODIES)
CONTENTS = sorted(lark_contents._simple("") | lark_contents._shared(""))


def stamp(platform: str) -> Stamp:
    bot = Bot("ou_b", "Bot")
    return Stamp(id="ev-1", recv_time=NOW, tenant="t", account="a", platform=platform, bot=bot)


def from_lark(event: LarkEvent) -> Event:
    payload = lark_events.build_payload(event, index=0, ids=lark_ids(event), event_id="e1", now=NOW)
    return lark.normalise(payload, stamp=stamp("lark"))


def from_dingtalk(event: DingTalkEvent) -> Event:
    delivery = dingtalk_events.build_delivery(
        event, index=0, ids=dingtalk_ids(event), now=NOW, timings=Timings(), webhook="http://hook"
    )
    frame = json.loads(delivery.frames[0])
    given = dingtalk.Frame(type=frame["type"], headers=frame["headers"], data=json.loads(frame["data"]))
    return dingtalk.to_event(given, stamp("dingtalk"))


@pytest.mark.parametrize("event_type", LARK_TYPES)
def test_every_lark_notice_is_understood(event_type: str) -> None:
    event = from_lark(LarkEvent(app="a", kind="event", event_type=event_type, message_id="om_1", text="x"))
    assert event.type != "platform.raw"
    assert event.time in (NOW, 1_700_000_000)
    assert event.sender is not None or event.type == "message.deleted"


@pytest.mark.parametrize("message_type", CONTENTS)
def test_every_lark_message_is_understood(message_type: str) -> None:
    event = from_lark(LarkEvent(app="a", message_type=message_type, text="words"))
    assert event.type == "message.created"
    assert event.segments
    edit = from_lark(LarkEvent(app="a", message_type=message_type, event_type="im.message.updated_v1"))
    assert edit.type == "message.updated"


def test_a_lark_notice_can_be_given_and_names_who_is_meant() -> None:
    given = {"chat_id": "oc_9", "operator_id": {"open_id": "ou_9"}}
    event = from_lark(LarkEvent(app="a", kind="event", event_type="im.chat.disbanded_v1", data=given))
    assert event.raw["event"] == given
    with pytest.raises(AdminRequestError, match="unheard"):
        from_lark(LarkEvent(app="a", kind="event", event_type="unheard"))
    with pytest.raises(AdminRequestError, match="needs an `event_type`"):
        from_lark(LarkEvent(app="a", kind="event", data=given))
    joined = from_lark(
        LarkEvent(
            app="a",
            kind="event",
            event_type="im.chat.member.user.added_v1",
            mentions=[LarkMention(open_id="ou_m", name="Mei")],
        )
    )
    assert joined.segments == [Segment("mention", {"user_id": "ou_m", "name": "Mei"})]


def test_lark_notices_are_redelivered_and_callbacks_are_not() -> None:
    def ladder(event_type: str) -> tuple[float, ...]:
        event = LarkEvent(app="a", kind="event", event_type=event_type)
        made = lark_events.build_delivery(event, index=0, ids=lark_ids(event), now=NOW, timings=Timings())
        return made.policy.ladder_s

    assert ladder("im.message.recalled_v1") == Timings().lark_ladder_s
    assert ladder("url.preview.get") == ()


@pytest.mark.parametrize(
    "event_type",
    [
        "chat_add_member",
        "chat_remove_member",
        "chat_quit",
        "chat_update_title",
        "chat_update_owner",
        "chat_disband",
        "user_add_org",
        "bpms_instance_change",
    ],
)
def test_every_dingtalk_event_is_understood(event_type: str) -> None:
    event = from_dingtalk(DingTalkEvent(app="a", kind="event", event_type=event_type))
    assert event.type != "platform.raw"
    assert event.sender is not None


@pytest.mark.parametrize(
    "msgtype", ["text", "picture", "richText", "audio", "video", "file", "interactiveCard", "chatRecord"]
)
def test_every_dingtalk_message_is_understood(msgtype: str) -> None:
    event = from_dingtalk(DingTalkEvent(app="a", msgtype=msgtype, text="words"))
    assert event.type == "message.created"
    assert event.segments


def test_a_dingtalk_event_names_who_is_meant_and_a_card_its_chat() -> None:
    users = [AtUser(dingtalk_id="$1", staff_id="s1"), AtUser(dingtalk_id="$2")]
    event = from_dingtalk(DingTalkEvent(app="a", kind="event", event_type="chat_add_member", at_users=users))
    assert event.segments == [Segment("mention", {"user_id": "s1", "name": "s1"})]
    private = from_dingtalk(DingTalkEvent(app="a", kind="card", conversation_type="1"))
    group = from_dingtalk(DingTalkEvent(app="a", kind="card", conversation_type="2"))
    assert [event.chat.type for event in (private, group) if event.chat] == ["private", "group"]
    assert from_dingtalk(DingTalkEvent(app="a", msgtype="unknownMsgType")).type == "platform.raw"
    assert from_dingtalk(DingTalkEvent(app="a", msgtype="hologram")).type == "platform.raw"
