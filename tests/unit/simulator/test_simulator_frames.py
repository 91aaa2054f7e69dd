"""Frames and payloads of both platforms."""

import json

import msgspec
import pytest

from longwire_connectors.simulator.deliveries import Delivery
from longwire_connectors.simulator.dingtalk_events import build_delivery as build_dingtalk
from longwire_connectors.simulator.dingtalk_socket import asks_for_later, read_answer
from longwire_connectors.simulator.errors import AdminRequestError, ClientFrameError
from longwire_connectors.simulator.injections import (
    AtUser,
    DingTalkEvent,
    LarkEvent,
    LarkMention,
    dingtalk_ids,
    lark_ids,
)
from longwire_connectors.simulator.lark_events import build_delivery, split
from longwire_connectors.simulator.lark_frames import LarkFrame, decode, encode
from longwire_connectors.simulator.lark_socket import read_ack
from longwire_connectors.simulator.timings import Timings


def lark(**fields: object) -> Delivery:
    event = msgspec.convert({"app": "cli_a", **fields}, LarkEvent)
    return build_delivery(event, index=7, ids=lark_ids(event), now=1.5, timings=Timings())


def lark_payload(delivery: Delivery, attempt: int = 0) -> dict:
    frames = [decode(frame) for frame in delivery.attempts[attempt]]
    return json.loads(b"".join(frame.payload or b"" for frame in frames))


def dingtalk(**fields: object) -> Delivery:
    event = msgspec.convert({"app": "ding", **fields}, DingTalkEvent)
    ids = dingtalk_ids(event)
    return build_dingtalk(event, index=7, ids=ids, now=1.5, timings=Timings(), webhook="http://hook")


def dingtalk_frame(delivery: Delivery) -> dict:
    return json.loads(delivery.frames[0])


def test_a_frame_survives_the_wire_and_its_required_zeros_are_written() -> None:
    frame = LarkFrame(
        method=0,
        service=0,
        headers={"type": "ping"},
        payload_encoding="e",
        payload_type="t",
        payload=b"",
        log_id_new="n",
    )
    assert decode(encode(frame)) == frame
    bare = LarkFrame(method=0, service=0, headers={})
    assert encode(bare) == b"\x08\x00\x10\x00\x18\x00\x20\x00"
    assert decode(encode(bare)) == bare


@pytest.mark.parametrize("data", [b"", b"\xff", b"not a frame at all"])
def test_bytes_that_are_no_frame_are_refused(data: bytes) -> None:
    with pytest.raises(ClientFrameError):
        decode(data)


def test_a_frame_with_impossible_numbers_cannot_be_encoded() -> None:
    with pytest.raises(ValueError, match="range"):
        encode(LarkFrame(method=2**40, service=0, headers={}))


def test_a_lark_message_has_the_shape_of_schema_2() -> None:
    delivery = lark(
        text="hi {n}", message_id="om_1", event_id="e1", thread_id="omt_1", mentions=[{"open_id": "ou_b"}]
    )
    payload = lark_payload(delivery)
    assert payload["header"]["event_id"] == "e1"
    assert payload["header"]["create_time"] == "1500"
    message = payload["event"]["message"]
    assert json.loads(message["content"]) == {"text": "hi 7"}
    assert (message["message_id"], message["thread_id"]) == ("om_1", "omt_1")
    assert "root_id" not in message
    assert message["mentions"][0]["key"] == "@_user_1"
    assert delivery.policy.ladder_s == (15.0, 300.0, 3600.0, 21600.0)


@pytest.mark.parametrize("kind", ["text", "post", "image", "file"])
def test_common_message_types_get_a_content(kind: str) -> None:
    assert json.loads(lark_payload(lark(message_type=kind))["event"]["message"]["content"])


def test_other_message_types_need_a_content() -> None:
    with pytest.raises(AdminRequestError, match="hologram"):
        lark(message_type="hologram")
    assert lark_payload(lark(message_type="hologram", content="{}"))["event"]["message"]["content"] == "{}"


def test_a_card_click_is_not_redelivered() -> None:
    delivery = lark(kind="card", action_value={"key": 1}, message_id="om_card")
    payload = lark_payload(delivery)
    assert payload["header"]["event_type"] == "card.action.trigger"
    assert payload["event"]["action"] == {"value": {"key": 1}, "tag": "button"}
    assert payload["event"]["context"]["open_message_id"] == "om_card"
    assert delivery.policy.ladder_s == ()
    assert lark(is_redelivered=False).policy.ladder_s == ()


def test_fresh_event_ids_change_with_each_attempt_and_the_message_id_does_not() -> None:
    delivery = lark(has_fresh_event_ids=True)
    payloads = [lark_payload(delivery, attempt) for attempt in range(5)]
    assert len({payload["header"]["event_id"] for payload in payloads}) == 5
    assert len({payload["event"]["message"]["message_id"] for payload in payloads}) == 1


def test_raw_payloads_pass_through() -> None:
    event = msgspec.json.decode(b'{"app": "a", "kind": "raw", "raw": {"x": [1, 2]}}', type=LarkEvent)
    delivery = build_delivery(event, index=0, ids=lark_ids(event), now=0.0, timings=Timings())
    assert decode(delivery.attempts[0][0]).payload == b'{"x":[1,2]}'
    text = lark(kind="raw", raw_text="not json")
    assert decode(text.attempts[0][0]).payload == b"not json"


def test_parts_go_out_as_ordered_and_one_can_be_missing() -> None:
    delivery = lark(raw_text="abcdef", parts=3, part_order=[2, 0, 1, 5], missing_part=1, declared_sum=9)
    frames = [decode(frame) for frame in delivery.attempts[0]]
    assert [(frame.headers["seq"], frame.payload) for frame in frames] == [
        ("2", b"ef"),
        ("0", b"ab"),
        ("5", b""),
    ]
    assert {frame.headers["sum"] for frame in frames} == {"9"}
    assert split(b"abc", 5) == [b"a", b"b", b"c", b"", b""]


def test_headers_can_be_left_out_and_too_many_frames_are_refused() -> None:
    frame = decode(lark(omitted_headers=["trace_id"]).attempts[0][0])
    assert "trace_id" not in frame.headers
    with pytest.raises(AdminRequestError, match="128"):
        lark(part_order=[0] * 129)


def test_an_ack_is_parsed_not_compared() -> None:
    assert read_ack(b'{"code": 200}') == (200, None)
    assert read_ack(b'{"code":200,"data":"eyJhIjoxfQ=="}') == (200, '{"a":1}')
    assert read_ack(b"{}") == (-1, None)
    for payload in (b"", b"[]", b'{"code":200,"data":"%"}', b'{"code":200,"data":"/w=="}'):
        with pytest.raises(ClientFrameError):
            read_ack(payload)


def test_a_robot_message_has_the_captured_shape() -> None:
    delivery = dingtalk(text="hi {n}", message_id="msg1", frame_message_id="f1")
    frame = dingtalk_frame(delivery)
    assert (frame["type"], frame["headers"]["topic"]) == ("CALLBACK", "/v1.0/im/bot/messages/get")
    data = json.loads(frame["data"])
    assert data["text"] == {"content": "hi 7"}
    assert data["sessionWebhookExpiredTime"] - data["createAt"] == 5_400_000
    assert (data["msgId"], data["sessionWebhook"]) == ("msg1", "http://hook")
    assert "conversationTitle" not in data
    assert delivery.topic == "CALLBACK /v1.0/im/bot/messages/get"
    assert delivery.policy.ladder_s == ()


def test_a_group_message_names_who_was_mentioned() -> None:
    event = DingTalkEvent(
        app="ding",
        conversation_type="2",
        at_users=[AtUser(dingtalk_id="$1", staff_id="s1")],
        msgtype="picture",
        sender_staff_id=None,
        omitted_fields=["msgId"],
    )
    made = build_dingtalk(event, index=0, ids=dingtalk_ids(event), now=0.0, timings=Timings(), webhook="w")
    data = json.loads(dingtalk_frame(made)["data"])
    assert data["atUsers"] == [{"dingtalkId": "$1", "staffId": "s1"}]
    assert data["content"]["downloadCode"] == "simulated"
    assert "msgId" not in data
    assert "senderStaffId" not in data


def test_an_event_is_repeated_until_acked() -> None:
    delivery = dingtalk(kind="event", event_id="e1")
    frame = dingtalk_frame(delivery)
    assert frame["headers"]["eventId"] == "e1"
    assert delivery.topic == "EVENT *"
    assert delivery.policy.wait_before(1000) == 55.0
    assert json.loads(dingtalk_frame(dingtalk(kind="event", data={"k": 1}))["data"]) == {"k": 1}


def test_cards_pings_and_disconnects_have_their_data() -> None:
    card = json.loads(dingtalk_frame(dingtalk(kind="card"))["data"])
    assert json.loads(card["content"])["cardPrivateData"]["actionIds"] == ["button"]
    assert json.loads(dingtalk_frame(dingtalk(kind="card", data={"k": 1}))["data"]) == {"k": 1}
    assert "opaque" in json.loads(dingtalk_frame(dingtalk(kind="ping"))["data"])
    disconnect = dingtalk(kind="disconnect")
    assert json.loads(dingtalk_frame(disconnect)["data"]) == {"reason": "connection is expired"}
    assert disconnect.is_farewell


def test_raw_frames_pass_through_to_any_subscriber() -> None:
    raw = dingtalk(kind="raw", raw_text="not json")
    assert (raw.frames, raw.topic) == (("not json",), "")
    event = msgspec.json.decode(b'{"app": "a", "kind": "raw", "raw": [1]}', type=DingTalkEvent)
    made = build_dingtalk(event, index=0, ids=dingtalk_ids(event), now=0.0, timings=Timings(), webhook="")
    assert made.frames == ("[1]",)
    assert dingtalk(kind="raw").frames == ("null",)
    assert dingtalk(topic="/unknown").topic == ""
    event = msgspec.json.decode(b'{"app": "a", "raw": {"x": 1}}', type=DingTalkEvent)
    made = build_dingtalk(event, index=0, ids=dingtalk_ids(event), now=0.0, timings=Timings(), webhook="")
    assert dingtalk_frame(made)["data"] == '{"x":1}'
    assert dingtalk_frame(dingtalk(raw_text="text"))["data"] == "text"


def test_an_answer_is_read_and_later_means_again() -> None:
    answer = '{"code":200,"headers":{"messageId":"f1"},"message":"OK","data":"{}"}'
    assert read_answer(answer) == ("f1", 200, "{}")
    for text in (b"bytes", "", "[]", '{"code":200}'):
        with pytest.raises(ClientFrameError):
            read_answer(text)
    assert asks_for_later('{"status":"LATER"}')
    for data in (None, '{"status":"SUCCESS"}', '{"title":"echo"}', "no json", "[]"):
        assert not asks_for_later(data)


def test_mentions_and_ids_that_are_given_are_kept() -> None:
    event = LarkEvent(
        app="a", message_id="om", event_id="e", frame_message_id="f", mentions=[LarkMention(open_id="ou_x")]
    )
    ids = lark_ids(event)
    assert (ids.message_id, ids.event_ids, ids.frame_message_id) == ("om", ("e",), "f")
