"""Frames to bytes and back, limits, and errors that name the place."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import decode, encode

from longwire_protocol import codec, frames, messages
from longwire_protocol.codec import Decoder, encode_event, is_body, request_id, with_delivery
from longwire_protocol.errors import FrameError, FrameTooLarge, MalformedFrame
from longwire_protocol.event import Bot, Chat, Event
from longwire_protocol.link import Fault, LinkFailure, LinkState

TO_SUPERVISOR = [
    messages.Request(id="r", method="status"),
    messages.Request(
        id=2**53,
        method="message.create",
        params={"chat": "c", "n": [1, None, 2.5, b"\x00"]},
        account="a",
        tenant="t",
        idempotency_key="k",
        deadline_ms=1,
        trace="00-1-2-01",
    ),
    messages.Ack(subscription="s"),
    messages.Ack(subscription="s", seqs=[1, 2**40], up_to=7),
    messages.Nack(subscription="s", seq=1),
    messages.Nack(subscription="s", seq=1, delay_ms=5),
    messages.Credit("s", 5),
    messages.Ping(),
    messages.Ping(id="p"),
    messages.Pong(id=3),
]
TO_CLIENT = [
    messages.Reply(id=1, status="ok", data={"x": [1]}),
    messages.Reply(id="a", status="failed", retcode=10003, message="m", retryable=True, retry_after_ms=3),
    messages.Error("malformed", "m"),
    messages.Error("not_subscribed", "m", "s"),
    messages.Error("malformed", "m", id=5),
    messages.Ping(),
    messages.Pong(id=None, supervisor_id="s"),
]
FROM_CHILD = [
    frames.Hello(protocol=1, token="t", pid=1, sdk="sdk 1"),
    frames.Heartbeat(
        at=1000.5,
        phase=frames.Phase.IDLE,
        phase_age_s=2.5,
        link=LinkState.UP,
        socket_proof_age_s=0.5,
        platform_proof_age_s=None,
        platform_timeout_s=90.0,
        last_frame_age_s=1.0,
        last_event_age_s=None,
        unstored=3,
        counters={"malformed": 1},
    ),
    frames.LinkUp("c-1"),
    frames.LinkLost(LinkFailure(fault=Fault.LIMITED, reason="r", message="m", retry_after_s=3.0)),
    frames.LinkLost(LinkFailure(Fault.PERMANENT, "r", "m", error_code="1", user_action="mend it")),
    frames.Identity(Bot(id="b", name="n")),
    frames.HandOver([frames.HandedOver(1, "message.created", "c", "m:1", 1.5, b"\x80")]),
    frames.HandOver([frames.HandedOver(2, "platform.raw", None, None, 1.5, b"\x80")]),
    frames.CommandResult(id=1, retcode=0, data={"message_id": "m"}),
    frames.CommandResult(id=1, retcode=36001, message="m", retryable=True, retry_after_ms=1),
    frames.Stopped(),
]
TO_CHILD = [
    frames.Connect(),
    frames.Disconnect("link_timeout"),
    frames.Stored(7),
    frames.Command(id=1, method="message.create", params={"text": "t"}, deadline_s=2.5),
    frames.Stop(2.0),
]
UNIONS: list[tuple[Any, list[Any]]] = [
    (messages.ToSupervisor, TO_SUPERVISOR),
    (messages.ToClient, TO_CLIENT),
    (frames.FromChild, FROM_CHILD),
    (frames.ToChild, TO_CHILD),
]
EVERY_FRAME = [(union, frame) for union, all_frames in UNIONS for frame in all_frames]
EVENT = Event(
    id="i", type="t", time=1.0, recv_time=2.0, tenant="t", account="a", platform="p", chat=Chat("c", "group")
)


def read(union: Any, data: bytes, **limits: int) -> Any:
    return Decoder[Any](union, **limits)(data)


@pytest.mark.parametrize(("union", "frame"), EVERY_FRAME, ids=lambda x: type(x).__name__)
def test_every_frame_survives_the_wire(union: Any, frame: Any) -> None:
    assert read(union, codec.encode(frame)) == frame


@pytest.mark.parametrize(("union", "frame"), EVERY_FRAME, ids=lambda x: type(x).__name__)
def test_every_frame_is_a_map_with_kind_first_and_its_unknown_fields_are_ignored(
    union: Any, frame: Any
) -> None:
    fields = decode(codec.encode(frame))
    assert next(iter(fields)) == "kind"
    assert read(union, encode({"from_the_future": [1, {"x": None}], **fields})) == frame


def test_every_kind_of_every_direction_is_tried() -> None:
    for union, all_frames in UNIONS:
        known = {kind.__name__ for kind in union.__args__}
        assert {type(frame).__name__ for frame in all_frames} | {"Events"} == known | {"Events"}


def test_events_carry_the_bytes_of_their_events_untouched() -> None:
    bodies = [with_delivery(encode_event(EVENT), 1, attempt=1), encode({"future": 1})]
    frame = messages.Events("s", [msgspec.Raw(body) for body in bodies])
    back = read(messages.ToClient, codec.encode(frame))
    assert [bytes(raw) for raw in back.events] == bodies


def test_the_bootstrap_of_a_child_survives_its_pipe() -> None:
    bootstrap = frames.Bootstrap(
        account="a",
        tenant="t",
        connector="lark",
        incarnation=3,
        endpoint="ipc:///x",
        token="t",
        options={"app_id": "x"},
        heartbeat_interval_s=1.0,
        link_timeout_s=60.0,
        is_link_timeout_explicit=False,
        bot=Bot(id="b"),
    )
    assert read(frames.Bootstrap, codec.encode(bootstrap)) == bootstrap


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"", "truncated"),
        (b"\xc1", "malformed"),
        (b"\x82\xa4kind\xa7request\xa6params\x81\xa1x" + b"\x91" * 10_000, "(?i)recursion"),
        (b"\x01", "Expected `object`, got `int`"),
        (encode([]), "Expected `object`, got `array`"),
        (encode({}), "missing required field `kind`"),
        (encode({"kind": "weird"}), r"Invalid value 'weird' - at `\$.kind`"),
        (encode({"kind": 3}), r"at `\$.kind`"),
        (encode({"kind": "request", "id": 1}), "missing required field `method`"),
        (encode({"kind": "request", "id": None, "method": "m"}), r"at `\$.id`"),
        (encode({"kind": "request", "id": 1.5, "method": "m"}), r"at `\$.id`"),
        (encode({"kind": "request", "id": 1, "method": "m", "params": []}), r"at `\$.params`"),
        (encode({"kind": "request", "id": 1, "method": "m", "deadline_ms": "5"}), r"at `\$.deadline_ms`"),
        (encode({"kind": "ack", "subscription": "s", "seqs": [1, "2"]}), r"at `\$.seqs\[1\]`"),
        (encode({"kind": "credit", "subscription": "s", "n": 1})[:-1], "truncated"),
        (encode({"kind": "ping"}) + b"\x00", "trailing"),
        (b"\x82\xa4kind\xa4ping\xa2id\xa1\xff", "utf-8"),
    ],
)
def test_what_cannot_be_read_is_refused_and_the_place_is_named(data: bytes, place: str) -> None:
    with pytest.raises(MalformedFrame, match=place):
        read(messages.ToSupervisor, data)


def test_a_frame_may_be_as_large_as_the_limit_and_not_a_byte_larger() -> None:
    data = codec.encode(messages.Ping(id="x" * 100))
    assert read(messages.ToSupervisor, data, max_bytes=len(data)) == messages.Ping(id="x" * 100)
    with pytest.raises(FrameTooLarge, match=f"frame of {len(data)} bytes") as caught:
        read(messages.ToSupervisor, data, max_bytes=len(data) - 1)
    assert (caught.value.size_bytes, caught.value.limit_bytes) == (len(data), len(data) - 1)


def test_clients_may_send_less_than_children() -> None:
    assert codec.MAX_REQUEST_BYTES == 4 * 1024 * 1024
    assert codec.MAX_FRAME_BYTES == 16 * 1024 * 1024


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_frame_error(data: bytes) -> None:
    for union, _ in UNIONS:
        try:
            read(union, data)
        except FrameError as error:
            assert str(error)  # noqa: PT017  # most inputs are unreadable, a few are not


@given(st.data())
def test_no_damage_to_a_frame_raises_anything_but_a_frame_error(data: st.DataObject) -> None:
    union, frame = data.draw(st.sampled_from(EVERY_FRAME))
    body = bytearray(codec.encode(frame))
    for place in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=4)):
        body[place] = data.draw(st.integers(0, 255))
    try:
        read(union, bytes(body[: data.draw(st.integers(0, len(body)))]))
    except FrameError as error:
        assert str(error)  # noqa: PT017  # damage to a text leaves a good frame


# `with_delivery`.


def values() -> st.SearchStrategy[Any]:
    plain = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
    return st.recursive(
        plain | st.text() | st.binary(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=10,
    )


def keys() -> st.SearchStrategy[str]:
    return st.text(min_size=1).filter(lambda key: key not in {"seq", "delivery"})


@given(st.dictionaries(keys(), values(), max_size=40), st.integers(1, 2**63), st.integers(1, 2**31))
def test_an_event_gets_its_number_and_delivery_in_front_and_is_else_untouched(
    fields: dict[str, Any], seq: int, attempt: int
) -> None:
    body = encode(fields)
    result = with_delivery(body, seq, attempt=attempt)
    delivery = {"attempt": attempt, "redelivered": attempt > 1}
    assert decode(result) == {"seq": seq, "delivery": delivery, **fields}
    assert list(decode(result))[:2] == ["seq", "delivery"]
    assert result.endswith(body[1:] if len(fields) < 16 else body[3:])


@pytest.mark.parametrize("size", [0, 1, 13, 14, 15, 16, 17, 255, 256, 65_533])
def test_the_map_header_follows_the_number_of_pairs(size: int) -> None:
    fields = {str(n): n for n in range(size)}
    result = with_delivery(encode(fields), 7, attempt=1)
    assert (result[0] == 0xDE) == (size + 2 >= 16)
    assert len(decode(result)) == size + 2


def test_a_body_that_says_map16_for_few_pairs_is_read_as_what_it_is() -> None:
    result = with_delivery(b"\xde\x00\x01\xa1a\x01", 7, attempt=1)
    assert decode(result) == {"seq": 7, "delivery": {"attempt": 1, "redelivered": False}, "a": 1}


@pytest.mark.parametrize(
    "body",
    [b"", b"\x90", b"\xc0", b"\xde", b"\xde\x00", b"\xdf\x00\x00\x00\x01\xa1a\x01", b"\xa3abc"],
    ids=["nothing", "array", "nil", "cut header", "cut header 2", "map32", "text"],
)
def test_what_does_not_begin_with_a_map_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedFrame, match="must be a MessagePack map"):
        with_delivery(body, 1, attempt=1)


@pytest.mark.parametrize("pairs", [65_534, 65_535])
def test_a_map_without_room_for_two_more_pairs_is_refused(pairs: int) -> None:
    with pytest.raises(MalformedFrame, match="must be a MessagePack map"):
        with_delivery(b"\xde" + pairs.to_bytes(2, "big"), 1, attempt=1)


def test_a_whole_event_reads_the_same_after_its_way_through_the_journal() -> None:
    back = decode(with_delivery(encode_event(EVENT), 42, attempt=3), type=Event)
    assert back.delivery is not None
    assert (back.seq, back.delivery.attempt, back.delivery.redelivered) == (42, 3, True)
    back.seq = back.delivery = None
    assert back == EVENT


@pytest.mark.parametrize(
    ("body", "can"), [(encode_event(EVENT), True), (b"\x80", True), (b"", False), (b"\x90", False)]
)
def test_a_body_is_looked_at_before_it_is_stored(body: bytes, *, can: bool) -> None:
    assert is_body(body) is can


@pytest.mark.parametrize(
    ("frame", "id_"),
    [
        ({"kind": "request", "id": 7, "method": 5}, 7),
        ({"id": "a", "params": [1], "kind": "request"}, "a"),
        ({"kind": "request", "id": 1.5}, None),
        ({"kind": "request"}, None),
        ({"kind": "ack", "id": 7}, None),
        ([1, 2], None),
    ],
)
def test_a_request_that_cannot_be_read_is_known_by_its_id_where_it_has_one(
    frame: object, id_: int | str | None
) -> None:
    assert request_id(encode(frame)) == id_


def test_what_is_no_frame_or_too_large_to_look_at_has_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    assert request_id(b"\xc1") is None
    monkeypatch.setattr(codec, "MAX_FRAME_BYTES", 10)
    assert request_id(encode({"kind": "request", "id": 7})) is None
