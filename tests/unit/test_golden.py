"""The golden files: every kind of event of both platforms, payload in and event out."""

import json
from pathlib import Path

import pytest

from golden.files import made, name_of, paths, read, written
from longwire_connectors.dingtalk import content as dingtalk_content
from longwire_connectors.dingtalk import notices as dingtalk_notices
from longwire_connectors.lark import content as lark_content
from longwire_connectors.lark import normalise as lark_normalise


@pytest.mark.parametrize("path", paths(), ids=name_of)
def test_an_event_is_what_its_golden_file_says(path: Path) -> None:
    golden = read(path)
    assert golden.event == made(path).event
    assert golden.blanked == made(path).blanked
    assert path.read_text(encoding="utf-8") == written(golden)


def test_every_event_that_lark_has_a_name_for_has_a_golden_file() -> None:
    payloads = [read(path).given for path in paths() if path.parent.name == "lark"]
    names = {
        payload.get("header", {}).get("event_type") or payload["event"].get("type") for payload in payloads
    }
    assert set(lark_normalise._READERS) - names == set()
    kinds = {payload["event"].get("message", {}).get("message_type") for payload in payloads}
    assert set(lark_content._READERS) - kinds == set()


def test_every_event_that_dingtalk_has_a_name_for_has_a_golden_file() -> None:
    frames = [read(path).given for path in paths() if path.parent.name == "dingtalk"]
    names = {frame["headers"].get("eventType") for frame in frames}
    assert set(dingtalk_notices._TYPES) - names == set()
    kinds = {frame["data"].get("msgtype") for frame in frames}
    assert {"text", "richText", *dingtalk_content._MEDIA, *dingtalk_content._CARDS} - kinds == set()


def test_no_golden_file_gives_a_secret_away() -> None:
    for path in paths():
        golden = read(path)
        assert "made-up-secret" not in json.dumps(golden.event), path
        places = json.dumps(golden.given).count("made-up-secret")
        assert places == len(golden.blanked), path
