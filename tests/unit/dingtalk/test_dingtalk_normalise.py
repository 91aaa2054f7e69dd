"""DingTalk's frames as events."""

import json
from typing import Any

import pytest

from longwire_connectors.base import Stamp
from longwire_connectors.dingtalk.clean import MAX_DEPTH, clean, read_text
from longwire_connectors.dingtalk.memory import Memory
from longwire_connectors.dingtalk.normalise import (
    Frame,
    bot_of,
    is_understood,
    session_of,
    to_event,
)
from longwire_connectors.dingtalk.wire import CALLBACK, CARD_TOPIC, EVENT, ROBOT_TOPIC
from longwire_protocol.event import Bot, Chat, Event, Resource, Segment, Sender
from longwire_protocol.redaction import REDACTED

STAMP = Stamp(
    id="ev-1",
    recv_time=1_700_000_000.5,
    tenant="t",
    account="a",
    platform="dingtalk",
    bot=Bot(id="bot"),
)

CAPTURED = {
    "conversationId": "cid8tfOR+7uip==",
    "conversationType": "1",
    "chatbotCorpId": "ding7112",
    "chatbotUserId": "$:LWCP_v1:$5w23==",
    "msgId": "msgXei2go==",
    "senderNick": "Ada",
    "isAdmin": True,
    "senderStaffId": "030008551219215",
    "sessionWebhookExpiredTime": 1703273334222,
    "createAt": 1703267933949,
    "senderCorpId": "ding7112",
    "senderId": "$:LWCP_v1:$pTZor09==",
    "sessionWebhook": "https://oapi.dingtalk.com/robot/sendBySession?session=c6033f6d",
    "text": {"content": " hello "},
    "robotCode": "dinguqpp3",
    "msgtype": "text",
}


def robot(**changes: Any) -> Frame:
    data = {key: value for key, value in {**CAPTURED, **changes}.items() if value is not ...}
    return Frame(type=CALLBACK, headers={"topic": ROBOT_TOPIC, "messageId": "h", "time": "1000"}, data=data)


def event_of(frame: Frame) -> Event:
    return to_event(frame, STAMP)


def test_a_captured_private_text_becomes_a_message() -> None:
    event = event_of(robot())
    assert event == Event(
        id="ev-1",
        type="message.created",
        time=1703267933.949,
        recv_time=STAMP.recv_time,
        tenant="t",
        account="a",
        platform="dingtalk",
        bot=Bot(id="bot"),
        chat=Chat(id="cid8tfOR+7uip==", type="private"),
        sender=Sender(
            id="030008551219215",
            name="Ada",
            ids={"staff_id": "030008551219215", "dingtalk_id": "$:LWCP_v1:$pTZor09=="},
        ),
        message_id="msgXei2go==",
        text="hello ",
        to_me=True,
        segments=[Segment("text", {"text": "hello "})],
        raw={
            "type": "CALLBACK",
            "headers": {"topic": ROBOT_TOPIC, "messageId": "h", "time": "1000"},
            "data": {**CAPTURED, "sessionWebhook": REDACTED},
        },
        dedup_key="m:msgXei2go==",
    )


def test_a_group_message_is_for_the_bot_when_it_is_in_the_at_list() -> None:
    event = event_of(robot(conversationType="2", conversationTitle="Team", isInAtList=True))
    assert event.chat == Chat(id="cid8tfOR+7uip==", type="group", name="Team")
    assert event.to_me is True
    assert event_of(robot(conversationType="2")).to_me is False


def test_someone_from_outside_is_known_by_the_dingtalk_id() -> None:
    sender = event_of(robot(senderStaffId=...)).sender
    assert sender is not None
    assert (sender.id, sender.ids) == ("$:LWCP_v1:$pTZor09==", {"dingtalk_id": "$:LWCP_v1:$pTZor09=="})
    assert event_of(robot(senderStaffId=..., senderId=...)).sender is None


def test_a_message_without_an_id_is_an_event_that_is_never_deduplicated() -> None:
    event = event_of(robot(msgId=...))
    assert (event.type, event.message_id, event.dedup_key) == ("message.created", None, None)


def test_a_message_without_a_conversation_has_no_chat() -> None:
    event = event_of(robot(conversationId=...))
    assert event.chat is None
    assert session_of(robot(conversationId=...)) is None


@pytest.mark.parametrize(
    ("created", "expected"),
    [
        (1_500, 1.5),
        ("1500", 1.5),
        (1_500.0, 1.5),
        (True, 1.0),
        ("soon", 1.0),
        (-1, 1.0),
        ([], 1.0),
        (float("inf"), 1.0),
        (10**400, 1.0),
    ],
)
def test_the_time_is_the_first_that_can_be_read(created: object, expected: float) -> None:
    assert event_of(robot(createAt=created)).time == expected


def test_without_any_time_it_is_the_time_of_arrival() -> None:
    frame = Frame(type=CALLBACK, headers={"topic": ROBOT_TOPIC}, data=None)
    event = event_of(frame)
    assert (event.time, event.type) == (STAMP.recv_time, "platform.raw")


def test_rich_text_keeps_its_pieces_in_order() -> None:
    pieces = [{"text": " see "}, {"type": "picture", "downloadCode": "c1"}, {"text": "this"}, "no map"]
    event = event_of(
        robot(msgtype="richText", content={"richText": [*pieces, {"pictureDownloadCode": "c2"}]})
    )
    assert event.text == "see this"
    assert [(segment.type, segment.data) for segment in event.segments or []] == [
        ("text", {"text": " see "}),
        ("image", {"file_id": "c1"}),
        ("text", {"text": "this"}),
        ("image", {"file_id": "c2"}),
    ]
    assert event.resources == [Resource(id="c1", kind="image"), Resource(id="c2", kind="image")]


def test_content_of_another_shape_is_left_out() -> None:
    event = event_of(robot(msgtype="richText", content={"richText": {"text": "x"}}))
    assert (event.type, event.text, event.segments) == ("message.created", "", [])
    assert event_of(robot(msgtype="file", content="x")).resources is None


def test_media_are_resources() -> None:
    event = event_of(robot(msgtype="file", content={"downloadCode": "c", "fileName": "a.pdf"}))
    assert event.segments == [Segment("file", {"file_id": "c", "name": "a.pdf"})]
    assert event.resources == [Resource(id="c", kind="file", name="a.pdf")]
    assert event.text is None
    film = {"downloadCode": "c", "duration": "5", "videoType": "mp4", "fileName": 7}
    video = event_of(robot(msgtype="video", content=film))
    assert video.segments == [Segment("video", {"file_id": "c", "duration": "5", "video_type": "mp4"})]
    picture = event_of(robot(msgtype="picture", content={"pictureDownloadCode": "p"}))
    assert picture.resources == [Resource(id="p", kind="image")]
    voice = event_of(robot(msgtype="audio", content={"recognition": "good day"}))
    assert (voice.type, voice.text, voice.resources) == ("message.created", "good day", None)


def test_a_quoted_message_is_what_is_replied_to() -> None:
    event = event_of(robot(text={"content": "yes", "repliedMsg": {"msgId": "m0"}}))
    assert event.reply_to == "m0"
    assert [segment.type for segment in event.segments or []] == ["reply", "text"]
    assert event_of(robot(originalMsgId="m1", text={})).reply_to == "m1"


def test_cards_and_records_are_read_whole() -> None:
    card = event_of(robot(msgtype="interactiveCard", content={"biz_custom_action_url": "dingtalk://x"}))
    assert (card.type, card.text) == ("message.created", "dingtalk://x")
    assert card.segments == [
        Segment("card", {"biz_custom_action_url": "dingtalk://x", "kind": "interactiveCard"})
    ]
    assert event_of(robot(msgtype="interactiveCard", content={"title": "Plan"})).text == "Plan"
    assert event_of(robot(msgtype="chatRecord", content={"summary": 7})).text is None


def test_mentions_of_others_come_before_the_text() -> None:
    users = [
        {"dingtalkId": CAPTURED["chatbotUserId"]},
        {"dingtalkId": "$:2", "staffId": "s2"},
        {"dingtalkId": "$:3"},
        {},
        7,
    ]
    event = event_of(robot(conversationType="2", atUsers=users, text={"content": " look"}))
    assert event.segments == [
        Segment("mention", {"user_id": "s2", "name": "s2"}),
        Segment("mention", {"user_id": "$:3", "name": "$:3"}),
        Segment("text", {"text": "look"}),
    ]


def test_an_unknown_kind_of_message_is_raw_but_keeps_its_place() -> None:
    event = event_of(robot(msgtype="hologram"))
    assert (event.type, event.dedup_key) == ("platform.raw", "m:msgXei2go==")
    assert event.chat is not None
    assert event.sender is not None
    assert not is_understood(event)
    kept = event_of(robot(msgtype="unknownMsgType", content={"unknownMsgType": "..."}))
    assert (kept.type, is_understood(kept)) == ("platform.raw", True)


def test_a_card_click_is_known_by_the_frame() -> None:
    headers = {"topic": CARD_TOPIC, "messageId": "f1", "time": "2000"}
    content = {"cardPrivateData": {"actionIds": ["ok"], "params": {"sessionWebhook": "secret"}}}
    data = {"userId": "u", "spaceId": "cid", "spaceType": "IM_ROBOT", "content": json.dumps(content)}
    event = event_of(Frame(type=CALLBACK, headers=headers, data=data | {"extension": "no json"}))
    assert (event.type, event.dedup_key, event.time) == ("card.action", "c:f1", 2.0)
    assert event.chat == Chat(id="cid", type="private")
    assert event.sender == Sender(id="u", ids={"staff_id": "u"})
    assert event.segments is not None
    assert event.segments[0].data["content"] == {
        "cardPrivateData": {"actionIds": ["ok"], "params": {"sessionWebhook": REDACTED}}
    }
    assert event.segments[0].data["extension"] == "no json"
    bare = event_of(Frame(type=CALLBACK, headers={"topic": CARD_TOPIC}, data={}))
    assert (bare.chat, bare.sender, bare.dedup_key, bare.segments) == (None, None, None, None)


def test_an_event_is_known_by_its_event_id() -> None:
    headers = {"topic": "*", "eventId": "e1", "eventBornTime": "3000", "messageId": "f"}
    event = event_of(Frame(type=EVENT, headers=headers, data={"title": "x"}))
    assert (event.type, event.dedup_key, event.time) == ("platform.raw", "e:e1", 3.0)
    assert event.raw == {"type": "EVENT", "headers": headers, "data": {"title": "x"}}
    other = event_of(Frame(type=CALLBACK, headers={"topic": "/other"}, data={}))
    assert (other.type, other.dedup_key) == ("platform.raw", None)


def test_only_robot_messages_tell_of_bot_and_chat() -> None:
    frame = robot()
    bot = Bot(id="$:LWCP_v1:$5w23==", code="dinguqpp3")
    assert bot_of(frame, known=None) == bot_of(frame, known=Bot(id="another", code="other")) == bot
    session = session_of(frame)
    assert session is not None
    assert (session.life_s, session.staff_id) == (pytest.approx(5400.273), "030008551219215")
    event = Frame(type=EVENT, headers={"topic": "*"}, data=CAPTURED)
    assert (bot_of(event, known=None), session_of(event)) == (None, None)
    assert bot_of(robot(chatbotUserId=...), known=None) is None
    without_end = session_of(robot(sessionWebhookExpiredTime=..., senderStaffId=..., senderId=...))
    assert without_end is not None
    assert (without_end.life_s, without_end.sender) == (None, None)


@pytest.mark.parametrize(
    ("told", "known", "bot"),
    [
        (robot(robotCode=...), Bot(id="$:LWCP_v1:$5w23==", code="c"), Bot(id="$:LWCP_v1:$5w23==", code="c")),
        (robot(robotCode=...), Bot(id="another", code="c"), Bot(id="$:LWCP_v1:$5w23==")),
        (robot(chatbotUserId=...), Bot(id="b", code="c"), Bot(id="b", code="dinguqpp3")),
        (Frame(type=EVENT, headers={}, data={}), Bot(id="b", code="c"), Bot(id="b", code="c")),
    ],
)
def test_what_a_frame_does_not_tell_of_the_bot_stays_known(told: Frame, known: Bot, bot: Bot) -> None:
    assert bot_of(told, known=known) == bot


def test_the_memory_keeps_what_frames_teach() -> None:
    memory = Memory(allows_http=False, bot=None)
    memory.learn(robot(), now=0.0)
    memory.learn(Frame(type=EVENT, headers={}, data={}), now=1.0)
    assert memory.bot == Bot(id="$:LWCP_v1:$5w23==", code="dinguqpp3")
    found = memory.webhooks.find("cid8tfOR+7uip==", user=None, now=2.0)
    assert found == CAPTURED["sessionWebhook"]


def test_webhooks_are_blanked_at_any_depth() -> None:
    frame = robot(more=[{"sessionWebhook": {"url": "x"}}])
    assert "sendBySession" not in repr(event_of(frame))
    assert event_of(frame).raw["data"]["more"] == [{"sessionWebhook": REDACTED}]


def test_webhooks_are_blanked_within_texts() -> None:
    url = "https://oapi.dingtalk.com/robot/sendBySession?session=c6033f6d"
    event = event_of(robot(extension=f'{{"hook":"{url}"}}', text={"content": f"see {url} or {url[:50]}"}))
    assert "c6033f6d" not in repr(event)
    assert event.text == f"see {url[:-8]}{REDACTED} or {url[:50]}"


def test_a_text_that_is_no_json_stays_what_it_is() -> None:
    assert read_text('{"n": 99999999999999999999}') == {"n": 1e20}
    for text in ("no json", "[" * 100_000, "[" * 200 + "]" * 200):
        assert read_text(text) == text


def test_what_cannot_be_carried_is_replaced() -> None:
    half = json.loads('{"\\ud800k": "a\\ud83d", "n": 99999999999999999999, "h": 1e5, "e": "\\u00e9"}')
    assert clean(half) == {"�k": "a�", "n": 1e20, "h": 1e5, "e": "é"}
    assert clean(10**301) == "1" + "0" * 301


def test_too_deep_a_frame_is_refused() -> None:
    deep: Any = 1
    for _ in range(MAX_DEPTH):
        deep = [deep]
    assert clean(deep) == deep
    with pytest.raises(ValueError, match="deeper"):
        clean([deep])
