"""Bodies of posts, as the CloudEvents package itself reads them."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event

from longwire.courier.bodies import CONTENT_TYPES, body, encoded, webhook_id
from longwire_protocol.event import Chat, Delivery, Event, Segment


def event(**fields: Any) -> Event:
    given = {
        "seq": 7,
        "id": "e1",
        "type": "message.created",
        "time": 1_700_000_000.25,
        "recv_time": 1_700_000_001.0,
        "tenant": "acme",
        "account": "acme-lark",
        "platform": "lark",
        "chat": Chat(id="oc_1", type="group"),
        "text": "grüß dich",
        "delivery": Delivery(attempt=1, redelivered=False),
    }
    return Event(**{**given, **fields})


def test_our_own_format_is_the_event_itself() -> None:
    read = json.loads(encoded(event(), "event"))
    assert read == msgspec.to_builtins(event())
    assert (read["v"], read["seq"], read["text"]) == (1, 7, "grüß dich")


def test_a_cloudevent_is_read_by_the_cloudevents_package() -> None:
    given = event(trace="00-aa-bb-01", tenant="a/b ü")
    made = HTTPMessage({"content-type": CONTENT_TYPES["cloudevents"]}, encoded(given, "cloudevents"))
    read = from_http_event(made)
    assert read.get_attributes() == {
        "specversion": "1.0",
        "id": "e1",
        "source": "/tenants/a%2Fb%20%C3%BC/accounts/acme-lark",
        "type": "message.created",
        "subject": "oc_1",
        "time": datetime(2023, 11, 14, 22, 13, 20, 250_000, tzinfo=UTC),
        "datacontenttype": "application/json",
        "sequence": "00000000000000000007",
        "traceparent": "00-aa-bb-01",
    }
    assert read.get_data() == msgspec.to_builtins(given)


def test_each_of_a_batch_of_cloudevents_is_read_by_it_too() -> None:
    parts = [encoded(event(id=f"e{number}"), "cloudevents-batch") for number in range(3)]
    batch = json.loads(body(parts, "cloudevents-batch", is_batch=True))
    single = {"content-type": CONTENT_TYPES["cloudevents"]}
    read = [from_http_event(HTTPMessage(single, json.dumps(one).encode())) for one in batch]
    assert [one.get_id() for one in read] == ["e0", "e1", "e2"]


def test_what_an_event_has_not_its_cloudevent_has_not() -> None:
    bare = event(chat=None, seq=None, time=math.inf)
    assert json.loads(encoded(bare, "cloudevents")).keys() == {
        "specversion",
        "id",
        "source",
        "type",
        "datacontenttype",
        "data",
    }
    assert "subject" not in json.loads(encoded(event(chat=Chat(id="", type="group")), "cloudevents"))


@pytest.mark.parametrize("seconds", [math.nan, 1e300, -1e18])
def test_a_time_in_no_calendar_is_left_out(seconds: float) -> None:
    assert "time" not in json.loads(encoded(event(time=seconds), "cloudevents"))


def test_whether_a_body_is_an_array_is_the_settings_business() -> None:
    assert body([b"1"], "event", is_batch=False) == b"1"
    assert body([b"1"], "event", is_batch=True) == b"[1]"
    assert body([b"1", b"2"], "event", is_batch=True) == b"[1,2]"
    assert body([b"1"], "cloudevents-batch", is_batch=False) == b"[1]"


def test_bytes_and_extensions_of_a_payload_have_a_form() -> None:
    raw = {"a": b"\x00\x01", "b": msgspec.msgpack.Ext(5, b"\x02")}
    read = json.loads(encoded(event(raw=raw), "event"))
    assert read["raw"] == {"a": "AAE=", "b": {"ext": 5, "data": "Ag=="}}


def deep() -> Any:
    nested: Any = []
    for _ in range(100_000):
        nested = [nested]
    return nested


@pytest.mark.parametrize("raw", [{(1, 2): 3}, object(), deep()], ids=["key", "object", "deep"])
def test_what_json_has_no_form_for_is_left_out_and_the_rest_is_delivered(raw: Any) -> None:
    read = json.loads(encoded(event(raw=raw, segments=[Segment("text", {})]), "event"))
    assert (read["id"], read["text"]) == ("e1", "grüß dich")
    assert not {"raw", "segments"} & read.keys()


def test_the_id_of_a_post_is_its_events() -> None:
    assert webhook_id(["0b2f-E_1"]) == "0b2f-E_1"


@pytest.mark.parametrize("odd", ["a.b", "a\r\nb", "ü", "", "a" * 129])
def test_an_id_that_fits_in_no_header_is_digested(odd: str) -> None:
    assert webhook_id([odd]) == webhook_id([odd])
    assert webhook_id([odd]).startswith("batch_")


def test_a_batch_has_an_id_of_its_own_that_stays() -> None:
    assert webhook_id(["a", "b"]) == webhook_id(["a", "b"])
    assert len({webhook_id(ids) for ids in (["a", "b"], ["b", "a"], ["ab"], ["a", "b", "c"])}) == 4
