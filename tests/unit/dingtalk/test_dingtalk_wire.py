"""DingTalk Stream frames on the wire."""

import json

import pytest

from longwire_connectors.dingtalk import wire


@pytest.mark.parametrize(
    "text",
    [
        b"not json",
        b"[1, {}]",
        b"null",
        b"{}",
        b'{"type": "EVENT"}',
        b'{"type": "EVENT", "headers": []}',
        b'{"type": 1, "headers": {}}',
        b'{"type": "EVENT", "headers": {}, "data": {}}',
        b'{"type": "EVENT", "headers": {"x": "\xff"}}',
        b'{"type": "EVENT", "headers": {"x": ' + b"[" * 100_000,
    ],
)
def test_what_is_no_frame_reads_as_none(text: bytes) -> None:
    assert wire.read(text) is None


def test_a_frame_is_handed_to_the_sdk_as_it_came() -> None:
    given = {
        "specVersion": "1.0",
        "type": "CALLBACK",
        "headers": {"topic": "t", "messageId": "m"},
        "data": "{}",
        "more": 1,
    }
    envelope = wire.read(json.dumps(given))
    assert envelope is not None
    assert (envelope.topic, envelope.message_id) == ("t", "m")
    assert envelope.for_sdk() == {key: given[key] for key in ("specVersion", "type", "headers", "data")}


def test_missing_headers_and_data_are_nothing() -> None:
    envelope = wire.read('{"type": "SYSTEM", "headers": {"topic": 1, "messageId": ""}, "data": null}')
    assert envelope is not None
    assert (envelope.topic, envelope.message_id, envelope.for_sdk()["data"]) == ("", None, "")


def test_an_answer_has_the_form_of_the_protocol() -> None:
    assert json.loads(wire.answer("m", code=200, message="OK", data='{"opaque":"1"}')) == {
        "code": 200,
        "headers": {"contentType": "application/json", "messageId": "m"},
        "message": "OK",
        "data": '{"opaque":"1"}',
    }
