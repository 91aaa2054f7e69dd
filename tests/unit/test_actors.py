"""Everything that somebody does names them, understood or not, so that `allow_senders` holds for it."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.files import FOLDER, normalised, read
from longwire_connectors.senders import Senders
from longwire_protocol.event import Sender
from unit.test_normalise_hostile import FILES, REFUSALS, mutated

BOSS, STRANGER = "ou_boss", "ou_stranger"
FOR_THE_BOSS = Senders([BOSS])

LARK_PLACES = (
    *(
        "sender",
        "operator",
        "operator_id",
        "operator_user_id",
        "operator_id_list",
        "reader",
        "user_id",
        "user",
    ),
    *("inviter", "initiator", "leave_user", "start_user", "creator_id", "learner", "sender_id", "reader_id"),
    *("open_id", "union_id"),
)
LARK_KINDS = ("open_id", "union_id", "user_id")
LARK_TYPES = st.sampled_from(
    [
        *sorted({str(each.given.get("header", {}).get("event_type")) for each in FILES["lark"]}),
        "im.message.pin.created_v1",
        "card.action.trigger_v1",
        "im.message.bot_muted_v1",
    ]
)
DINGTALK_PLACES = (
    *("senderStaffId", "senderId", "senderUnionId", "operator", "optStaffId", "operatorUserId", "Operator"),
    *("operatorStaffId", "operatorId", "operatorUnionId", "staffId", "userId", "unionId", "OptStaffId"),
)


def from_lark(event: Any, kind: str = "im.message.receive_v1") -> Sender | None:
    """Return who sent an event with this body."""
    payload = {"schema": "2.0", "header": {"event_id": "e", "event_type": kind}, "event": event}
    return normalised("lark", payload).sender


def from_dingtalk(data: Any, *, kind: str = "CALLBACK", topic: str = "/v1.0/new/topic") -> Sender | None:
    """Return who sent a frame with this data."""
    return normalised("dingtalk", {"type": kind, "headers": {"topic": topic}, "data": data}).sender


@st.composite
def lark_people(draw: st.DrawFn, place: str) -> Any:
    """Return the stranger as one of Lark's events may name them at a place."""
    ids = dict.fromkeys(draw(st.sets(st.sampled_from(LARK_KINDS), min_size=1)), STRANGER)
    if place in LARK_KINDS and draw(st.booleans()):
        return STRANGER
    if place in {"open_id", "union_id"}:
        return STRANGER
    if place == "operator_id_list":
        return [ids]
    inner = draw(st.sampled_from(["", "sender_id", "operator_id", "reader_id", "id", "user_id"]))
    return draw(st.sampled_from([ids, STRANGER])) if not inner else {inner: ids}


@settings(max_examples=500)
@given(data=st.data())
def test_whatever_a_stranger_does_on_lark_does_not_pass(data: st.DataObject) -> None:
    payload = data.draw(mutated("lark"))
    payload["header"] = {"event_id": "e", "event_type": data.draw(LARK_TYPES)}
    body = payload["event"] = payload["event"] if isinstance(payload.get("event"), dict) else {}
    place = data.draw(st.sampled_from(LARK_PLACES))
    body[place] = data.draw(lark_people(place))
    try:
        event = normalised("lark", payload)
    except REFUSALS["lark"]:
        return
    assert event.sender is not None
    assert not FOR_THE_BOSS.may_talk(event.sender)


@settings(max_examples=500)
@given(data=st.data())
def test_whatever_a_stranger_does_on_dingtalk_does_not_pass(data: st.DataObject) -> None:
    payload = data.draw(mutated("dingtalk"))
    frame = {
        "type": data.draw(st.sampled_from(["EVENT", "CALLBACK", "NEW"])),
        "headers": payload["headers"] if isinstance(payload.get("headers"), dict) else {},
        "data": payload["data"] if isinstance(payload.get("data"), dict) else {},
    }
    place = data.draw(st.sampled_from(DINGTALK_PLACES))
    inner = data.draw(st.sampled_from(["userId", "unionId"]))
    if data.draw(st.booleans()):
        frame["data"][place] = STRANGER
    else:
        frame["data"][data.draw(st.sampled_from(["sender", "operator", "user"]))] = {inner: STRANGER}
    try:
        event = normalised("dingtalk", frame)
    except REFUSALS["dingtalk"]:
        return
    assert event.sender is not None
    assert not FOR_THE_BOSS.may_talk(event.sender)


@pytest.mark.parametrize("change", [{"content": None}, {"chat_id": None}, {"message_id": 5}])
def test_a_message_that_cannot_be_read_names_its_sender(change: dict[str, Any]) -> None:
    body = copy.deepcopy(read(FOLDER / "lark" / "message_text_private.json").given["event"])
    body["message"] |= change
    body["sender"]["sender_id"] = {"open_id": BOSS, "user_id": "boss"}
    assert from_lark(body) == Sender(BOSS, ids={"open_id": BOSS, "user_id": "boss"})


@pytest.mark.parametrize(
    ("body", "sender"),
    [
        ({"operator_id": {"open_id": BOSS}}, Sender(BOSS, ids={"open_id": BOSS})),
        ({"operator_id": BOSS, "user_id": STRANGER}, Sender(BOSS)),
        ({"user_id": "boss", "open_id": BOSS}, Sender(BOSS, ids={"open_id": BOSS, "user_id": "boss"})),
        ({"operator_id_list": [{"union_id": "on_1"}, 5]}, Sender("on_1", ids={"union_id": "on_1"})),
        ({"operator": {"id": {"user_id": "boss"}}}, Sender("boss", ids={"user_id": "boss"})),
        ({"message": {"sender": {"id": BOSS, "id_type": "open_id"}}}, Sender(BOSS)),
        ({"users": [{"open_id": BOSS}], "target_user_id": {"open_id": BOSS}, "app_id": "cli_1"}, None),
        ({"operator_id": {"open_id": 5}, "operator_id_list": [], "user_id": ""}, None),
        ("no map", None),
    ],
)
def test_an_unknown_event_of_lark_names_who_did_it_and_not_to_whom(body: Any, sender: Sender | None) -> None:
    assert from_lark(body, "im.message.pin.created_v1") == sender


def test_a_card_of_the_old_kind_names_who_clicked() -> None:
    assert normalised("lark", {"open_id": BOSS, "action": {}}).sender == Sender(BOSS, ids={"open_id": BOSS})


@pytest.mark.parametrize(
    ("data", "sender"),
    [
        ({"senderId": "$:1", "senderNick": "Ann"}, Sender("$:1", name="Ann", ids={"dingtalk_id": "$:1"})),
        ({"operator": "boss", "unionId": "u1"}, Sender("boss", ids={"staff_id": "boss"})),
        ({"operator": {"userId": "boss"}, "userId": ["ann"]}, Sender("boss", ids={"staff_id": "boss"})),
        ({"userId": ["ann"], "staffId": 5, "chatbotUserId": "$:bot"}, None),
        (json.dumps({"userId": "ann"}), None),
    ],
)
def test_an_unknown_frame_of_dingtalk_names_who_did_it_and_not_to_whom(
    data: Any, sender: Sender | None
) -> None:
    assert from_dingtalk(data) == sender


def test_ids_of_two_people_are_never_those_of_one() -> None:
    assert not FOR_THE_BOSS.may_talk(
        from_lark({"operator_id": {"open_id": STRANGER}, "open_id": BOSS}, "new")
    )
    assert not FOR_THE_BOSS.may_talk(from_dingtalk({"operator": STRANGER, "unionId": BOSS}))
