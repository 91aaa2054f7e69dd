"""Whatever comes from a platform becomes an event, or is refused in the one way that is counted."""

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.files import Golden, normalised, paths, read, stamp
from longwire_connectors.dingtalk import normalise as dingtalk
from longwire_connectors.dingtalk.wire import CALLBACK, CARD_TOPIC, EVENT, ROBOT_TOPIC
from longwire_connectors.lark import normalise as lark
from longwire_connectors.lark.content import _READERS
from longwire_connectors.lark.payload import MalformedEvent
from longwire_protocol.codec import encode_event
from longwire_protocol.event import Event

WORDS = st.text(st.characters(exclude_categories=()), max_size=8) | st.sampled_from(
    ["@_user_1 @_all", "{x}", "sendBySession?session=x", "1", "9" * 30, ""]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.integers(2**63, 2**70) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=10,
)
FILES: dict[str, list[Golden]] = {
    platform: [read(path) for path in paths() if path.parent.name == platform]
    for platform in ("lark", "dingtalk")
}
REFUSALS = {"lark": MalformedEvent, "dingtalk": ValueError}
"""What the sessions count as malformed."""


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every value inside."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [(*way, key) for key, _ in inside]
    return found + [deeper for key in found for deeper in places(_at(value, key[len(way) :]), key)]


def _at(value: Any, way: tuple[Any, ...]) -> Any:
    for step in way:
        value = value[step]
    return value


@st.composite
def mutated(draw: st.DrawFn, platform: str) -> Any:
    """Return a golden payload with some of its values changed or gone, also within a message's content."""
    payload = copy.deepcopy(draw(st.sampled_from(FILES[platform])).given)
    message = payload["event"].get("message") if platform == "lark" else None
    if message is not None and isinstance(message["content"], str):
        message["content"] = json.loads(message["content"])
    for _ in range(draw(st.integers(1, 4))):
        *way, last = draw(st.sampled_from(places(payload) or [("new",)]))
        outer = _at(payload, tuple(way))
        if isinstance(outer, dict) and draw(st.booleans()):
            outer.pop(last, None)
        else:
            outer[last] = draw(JSON)
    event = payload.get("event") if platform == "lark" else None
    message = event.get("message") if isinstance(event, dict) else None
    if isinstance(message, dict) and draw(st.integers(0, 9)):  # now and then not a text at all
        message["content"] = json.dumps(message.get("content"))
    return payload


def looked_at(event: Event) -> None:
    """Assert that an event can be stored and read, and that its parts are what they should be."""
    seen = msgspec.msgpack.decode(encode_event(event), type=Event)
    assert (seen.id, seen.type) == ("ev-1", event.type)
    assert seen.type
    assert seen.raw is not None
    if event.type.startswith(("message.", "reaction.")) and event.platform == "lark":
        assert event.message_id or event.type == "message.read"
    resources = {resource.id for resource in event.resources or []}
    named = {
        one.data["file_id"] for one in event.segments or [] if one.type != "card" and "file_id" in one.data
    }
    assert named == resources


@pytest.mark.parametrize("platform", ["lark", "dingtalk"])
@settings(max_examples=300)
@given(data=st.data())
def test_any_change_of_a_real_payload_makes_an_event_or_a_refusal(platform: str, data: st.DataObject) -> None:
    payload = data.draw(mutated(platform))
    if platform == "dingtalk":
        # The SDK's own frame classes stand before the connector: these two have their types.
        if not (isinstance(payload.get("headers"), dict) and isinstance(payload.get("type"), str)):
            return
        payload.setdefault("data", None)
    try:
        event = normalised(platform, payload)
    except REFUSALS[platform]:
        return
    looked_at(event)
    (lark if platform == "lark" else dingtalk).is_understood(event)


@given(JSON)
def test_any_json_is_an_event_of_lark_or_malformed(value: Any) -> None:
    try:
        event = lark.normalise(json.dumps(value).encode(), stamp=stamp("lark"))
    except MalformedEvent:
        assert not isinstance(value, dict)
        return
    looked_at(event)


@given(st.binary(max_size=64))
def test_any_bytes_are_an_event_of_lark_or_malformed(data: bytes) -> None:
    try:
        event = lark.normalise(data, stamp=stamp("lark"))
    except MalformedEvent:
        return
    looked_at(event)  # it happens: b"{}"


@given(
    kind=st.sampled_from([EVENT, CALLBACK, "FUTURE"]),
    topic=st.sampled_from([ROBOT_TOPIC, CARD_TOPIC, "*"]) | JSON,
    headers=st.dictionaries(st.sampled_from(["eventId", "eventType", "time", "messageId"]), JSON),
    data=JSON,
)
def test_any_frame_is_an_event_of_dingtalk(kind: str, topic: Any, headers: dict[str, Any], data: Any) -> None:
    frame = dingtalk.Frame(type=kind, headers={**headers, "topic": topic}, data=data)
    looked_at(dingtalk.to_event(frame, stamp("dingtalk")))


@pytest.mark.parametrize("kind", sorted(_READERS))
def test_hostile_sizes_are_read_and_stored(kind: str) -> None:
    many = 2_000
    paragraphs = [[{"tag": "text", "text": "ab"}] * many, [{"tag": "at", "user_id": "@_user_1"}] * many]
    content = {
        "text": "@_user_1" * many,
        "title": "t" * many,
        "content": paragraphs,
        "elements": [*paragraphs, [{"tag": "note", "elements": [{"text": "x"}] * many}]],
        "image_key": "k" * many,
        "file_key": "k" * many,
        "template": "{a}" * many,
        "a": ["b"] * 10,
        "options": ["o"] * many,
    }
    message = {
        "message_id": "om_1",
        "chat_id": "oc_1",
        "message_type": kind,
        "content": json.dumps(content),
        "mentions": [{"key": "@_user_1", "id": {"open_id": "ou_1"}, "name": "A"}] * many,
    }
    payload = {"header": {"event_type": "im.message.receive_v1"}, "event": {"message": message}}
    event = normalised("lark", payload)
    assert event.type == "message.created"
    looked_at(event)
