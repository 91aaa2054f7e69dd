"""The event on the wire: what is absent, and what never is."""

from __future__ import annotations

from msgspec.msgpack import decode, encode

from longwire_protocol.event import Bot, Chat, Delivery, Event, Resource, Segment, Sender


def least() -> Event:
    return Event(id="i", type="platform.raw", time=1.5, recv_time=2.5, tenant="t", account="a", platform="p")


def test_absent_fields_are_absent_and_the_version_is_not() -> None:
    assert decode(encode(least())) == {
        "v": 1,
        "id": "i",
        "type": "platform.raw",
        "time": 1.5,
        "recv_time": 2.5,
        "tenant": "t",
        "account": "a",
        "platform": "p",
    }


def test_the_version_stays_on_the_wire_when_an_event_is_passed_on() -> None:
    assert decode(encode(decode(encode(least()), type=Event)))["v"] == 1


def test_the_bot_is_called_self_on_the_wire() -> None:
    event = least()
    event.bot = Bot(id="b", name="n")
    fields = decode(encode(event))
    assert fields["self"] == {"id": "b", "name": "n"}
    assert "bot" not in fields
    assert decode(encode(fields), type=Event).bot == event.bot


def test_false_and_empty_values_are_present_because_they_say_something() -> None:
    event = least()
    event.to_me = False
    event.text = ""
    event.segments = []
    fields = decode(encode(event))
    assert (fields["to_me"], fields["text"], fields["segments"]) == (False, "", [])


def test_a_full_event_comes_back_as_it_was() -> None:
    event = Event(
        seq=7,
        id="i",
        type="message.created",
        time=1.5,
        recv_time=2.5,
        tenant="t",
        account="a",
        platform="p",
        bot=Bot(id="b"),
        chat=Chat(id="c", type="group", thread_id="th", name="room"),
        sender=Sender(id="s", name="n", is_bot=False, ids={"open_id": "ou"}),
        message_id="m",
        reply_to="r",
        text="hello",
        to_me=True,
        segments=[Segment("text", {"text": "hello"})],
        resources=[Resource(id="f", kind="file", name="x.txt", size=3, mime="text/plain")],
        raw={"any": [1, {"thing": None}]},
        dedup_key="m:m",
        delivery=Delivery(attempt=2, redelivered=True),
        trace="00-1-2-01",
    )
    assert decode(encode(event), type=Event) == event


def test_fields_of_later_versions_are_ignored_at_every_level() -> None:
    fields: dict[str, object] = {
        **decode(encode(least())),
        "future": 1,
        "chat": {"id": "c", "type": "forum", "future": 1},
        "sender": {"id": "s", "future": 1},
        "segments": [{"type": "hologram", "data": {}, "future": 1}],
        "v": 2,
    }
    event = decode(encode(fields), type=Event)
    assert event.v == 2
    assert event.chat == Chat(id="c", type="forum")
    assert event.segments == [Segment("hologram", {})]


def test_small_parts_leave_out_what_they_do_not_know() -> None:
    assert decode(encode(Chat(id="c", type="private"))) == {"id": "c", "type": "private"}
    assert decode(encode(Sender(id="s"))) == {"id": "s"}
    assert decode(encode(Resource(id="f", kind="file"))) == {"id": "f", "kind": "file"}
    assert decode(encode(Bot(id="b"))) == {"id": "b"}
