"""What messages say, by type."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwire_connectors.lark.content import read_content
from longwire_connectors.lark.payload import MAX_DEPTH
from longwire_connectors.lark.richtext import Content, Mention
from longwire_protocol.event import Resource, Segment

MENTIONS = {"@_user_1": Mention("ou_b", "Bot")}


def read(kind: str, content: object) -> Content | None:
    return read_content(kind, json.dumps(content), mentions=MENTIONS)


def card(kind: str, content: dict[str, Any]) -> str | None:
    """Return what can be read of a message that becomes a card."""
    said = read(kind, content)
    assert said is not None
    assert said.segments == [Segment("card", {**content, "kind": kind})]
    return said.text


@pytest.mark.parametrize(
    ("kind", "content", "segment", "name"),
    [
        ("image", {"image_key": "k"}, Segment("image", {"file_id": "k"}), None),
        (
            "file",
            {"file_key": "k", "file_name": "a.pdf"},
            Segment("file", {"file_id": "k", "name": "a.pdf"}),
            "a.pdf",
        ),
        ("file", {"file_key": "k", "file_name": 7}, Segment("file", {"file_id": "k"}), None),
        (
            "folder",
            {"file_key": "k", "file_name": "d"},
            Segment("file", {"file_id": "k", "name": "d", "is_folder": True}),
            "d",
        ),
        (
            "audio",
            {"file_key": "k", "duration": 2000},
            Segment("audio", {"file_id": "k", "duration_ms": 2000}),
            None,
        ),
        (
            "audio",
            {"file_key": "k", "duration": "300"},
            Segment("audio", {"file_id": "k", "duration_ms": 300}),
            None,
        ),
        ("audio", {"file_key": "k", "duration": True}, Segment("audio", {"file_id": "k"}), None),
        ("audio", {"file_key": "k", "duration": "long"}, Segment("audio", {"file_id": "k"}), None),
        (
            "media",
            {"file_key": "k", "image_key": "i", "file_name": "v.mp4", "duration": 5},
            Segment("video", {"file_id": "k", "name": "v.mp4", "duration_ms": 5, "cover_id": "i"}),
            "v.mp4",
        ),
        ("sticker", {"file_key": "k"}, Segment("sticker", {"file_id": "k"}), None),
    ],
)
def test_what_must_be_fetched_is_a_resource(
    kind: str, content: object, segment: Segment, name: str | None
) -> None:
    assert read(kind, content) == Content(None, [segment], [Resource(id="k", kind=segment.type, name=name)])


@pytest.mark.parametrize("kind", ["text", "post", "image", "file", "folder", "audio", "media", "sticker"])
@pytest.mark.parametrize(
    "content", [{}, [], 7, None, {"text": 7, "file_key": 7, "image_key": "", "content": 7}]
)
def test_without_that_which_makes_it_one_it_is_not_read(kind: str, content: object) -> None:
    assert read(kind, content) is None


def test_words_may_be_empty_or_half_a_character() -> None:
    assert read("text", {"text": ""}) == Content(None, [], [])
    assert read_content("text", '{"text": "a\\ud83d"}', mentions={}) == Content(
        "a\ufffd", [Segment("text", {"text": "a\ufffd"})], []
    )


POST = {
    "title": "Title",
    "content": [
        [
            {"tag": "text", "text": "hello ", "style": []},
            {"tag": "at", "user_id": "@_user_1", "user_name": "Bot"},
            {"tag": "at", "user_id": "ou_z", "user_name": "Zoe"},
            {"tag": "at", "user_id": "ou_q"},
            {"tag": "at", "user_id": "@_all"},
        ],
        [{"tag": "img", "image_key": "img_1"}, {"tag": "media", "file_key": "f_1", "image_key": "img_2"}],
        [
            {"tag": "a", "href": "https://x", "text": "link"},
            {"tag": "a", "href": "https://y"},
            {"tag": "emotion", "emoji_type": "SMILE"},
            {"tag": "hr"},
            {"tag": "code_block", "text": "x = 1"},
            {"tag": "unheard-of"},
        ],
    ],
}


@pytest.mark.parametrize("content", [POST, {"zh_cn": POST}, {"title": 7, "zh_cn": POST}])
def test_a_post_is_read_paragraph_by_paragraph(content: object) -> None:
    said = read("post", content)
    assert said is not None
    assert said.text == "Title\nhello @Bot@Zoe@ou_q@all\n\nlinkhttps://y[SMILE]---x = 1"
    assert said.resources == [Resource(id="img_1", kind="image"), Resource(id="f_1", kind="video")]
    assert said.segments[0] == Segment("text", {"text": "Title\nhello "})
    assert Segment("text", {"text": "link", "href": "https://x"}) in said.segments
    assert Segment("video", {"file_id": "f_1", "cover_id": "img_2"}) in said.segments


def test_a_piece_of_a_wrong_type_costs_itself_and_not_the_post() -> None:
    nodes = [
        7,
        None,
        {"tag": "text", "text": 7},
        {"tag": "img", "image_key": ""},
        {"tag": "at"},
        {"text": "ok"},
    ]
    said = read("post", {"title": ["no"], "content": ["no list", nodes]})
    assert said == Content("\nok", [Segment("text", {"text": "\nok"})], [])


def test_a_post_of_many_pieces_is_one_text() -> None:
    said = read("post", {"content": [[{"tag": "text", "text": "ab"}] * 20_000]})
    assert said is not None
    assert said.text == "ab" * 20_000
    assert len(said.segments) == 1


def test_a_location_is_what_the_platform_tells() -> None:
    place = {"name": "Pier 7", "longitude": "120.1", "latitude": "30.2"}
    assert read("location", place) == Content("Pier 7", [Segment("location", place)], [])


def test_a_card_is_readable_and_whole() -> None:
    elements = [
        [{"tag": "text", "text": "for @_user_1"}, {"tag": "button", "text": "Yes", "type": "primary"}],
        [{"tag": "note", "elements": [{"tag": "img", "image_key": "i"}, {"tag": "text", "text": "small"}]}],
        [{"tag": "select_static", "options": ["1"], "placeholder": "choose"}],
    ]
    assert card("interactive", {"title": "Lunch?", "elements": elements}) == "Lunch?\nfor @BotYes\nsmall"
    assert card("interactive", {"schema": "2.0", "elements": "none"}) is None


@pytest.mark.parametrize(
    ("kind", "content", "text"),
    [
        ("share_chat", {"chat_id": "oc_9"}, None),
        ("share_user", {"user_id": "ou_9"}, None),
        ("share_calendar_event", {"summary": "Review", "start_time": "1608265395000"}, "Review"),
        ("calendar", {"summary": "Review"}, "Review"),
        ("general_calendar", {"summary": 7}, None),
        ("video_chat", {"topic": "Stand-up", "start_time": "1623124523829"}, "Stand-up"),
        (
            "todo",
            {"task_id": "t", "summary": {"title": "", "content": [[{"text": "eat fruit"}]]}},
            "eat fruit",
        ),
        ("todo", {"task_id": "t", "summary": "?"}, None),
        ("vote", {"topic": "Tea?", "options": ["yes", 7, "no"]}, "Tea?\nyes\nno"),
        ("vote", {"topic": "Tea?", "options": 7}, "Tea?"),
        ("vote", {}, None),
        ("hongbao", {"text": "[red packet]"}, "[red packet]"),
        ("merge_forward", {"content": "Merged and Forwarded Message"}, None),
        (
            "system",
            {
                "template": "{from_user} invited {to_chatters}.",
                "from_user": ["A"],
                "to_chatters": ["B", 7, "C"],
            },
            "A invited B, C.",
        ),
        ("system", {"template": "{divider_text}", "divider_text": {"text": "New"}}, "New"),
        ("system", {"template": "{name} {0.x} {gone}", "name": "N"}, "N {0.x} {gone}"),
        ("system", {"template": 7}, None),
    ],
)
def test_what_has_no_segment_of_its_own_is_a_card(
    kind: str, content: dict[str, Any], text: str | None
) -> None:
    assert card(kind, content) == text


def test_what_cannot_be_carried_costs_the_value_and_not_the_card() -> None:
    assert read_content("vote", '{"topic": "\\ud83d", "n": 123456789012345678901234567890}', mentions={}) == (
        Content(
            "\ufffd",
            [Segment("card", {"topic": "\ufffd", "n": "123456789012345678901234567890", "kind": "vote"})],
            [],
        )
    )
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert read_content("vote", f'{{"n": {deep}}}', mentions={}) is None
    assert read_content("vote", '{"topic": "\ud83d"}', mentions={}) is None


@given(st.text(max_size=40), st.sampled_from(["text", "post", "image", "file", "sticker", "vote", "system"]))
def test_no_content_makes_reading_fail(content: str, kind: str) -> None:
    read_content(kind, content, mentions={"@_user_1": Mention("ou_1", "A")})
