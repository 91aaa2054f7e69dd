"""What is to be said, as Lark's message types."""

import json
from typing import Any

import pytest

from longwire_connectors.lark.bodies import STREAM_ELEMENT, NewStream, Said, Segment, body_of
from longwire_connectors.lark.outgoing import message_request
from longwire_protocol.errors import CommandError, RetCode

TEXT = Segment("text", {"text": "hi"})


def of(*segments: tuple[str, dict[str, Any]]) -> Said:
    return Said(segments=[Segment(kind, data) for kind, data in segments])


@pytest.mark.parametrize(
    ("segment", "kind", "content"),
    [
        (("image", {"file_id": "img_1"}), "image", {"image_key": "img_1"}),
        (("file", {"file_id": "file_1", "name": "a.pdf"}), "file", {"file_key": "file_1"}),
        (("audio", {"file_id": "file_1"}), "audio", {"file_key": "file_1"}),
        (("sticker", {"file_id": "file_1"}), "sticker", {"file_key": "file_1"}),
        (
            ("video", {"file_id": "file_1", "cover_id": "img_1"}),
            "media",
            {"file_key": "file_1", "image_key": "img_1"},
        ),
    ],
)
def test_what_stands_alone_is_a_message_of_its_own_type(
    segment: tuple[str, dict[str, Any]], kind: str, content: dict[str, Any]
) -> None:
    body = body_of(of(segment))
    assert (body.kind, body.content) == (kind, content)


def test_markdown_is_a_post() -> None:
    body = body_of(Said(markdown="**a**"))
    assert (body.kind, body.content) == (
        "post",
        {"zh_cn": {"title": "", "content": [[{"tag": "md", "text": "**a**"}]]}},
    )
    assert json.loads(body.encoded["content"]) == body.content


def test_words_with_an_image_a_link_or_markdown_are_a_post_in_the_order_of_the_segments() -> None:
    body = body_of(
        of(
            ("text", {"text": "see\nthis "}),
            ("mention", {"user_id": "ou_1", "name": "Mei"}),
            ("image", {"file_id": "img_1"}),
            ("text", {"text": "there", "href": "https://example.com"}),
            ("markdown", {"text": "*so*"}),
        )
    )
    assert body.kind == "post"
    assert body.content["zh_cn"]["content"] == [
        [{"tag": "text", "text": "see"}],
        [{"tag": "text", "text": "this "}, {"tag": "at", "user_id": "ou_1"}],
        [{"tag": "img", "image_key": "img_1"}],
        [{"tag": "a", "text": "there", "href": "https://example.com"}],
        [{"tag": "md", "text": "*so*"}],
    ]


def test_the_card_of_a_stream_is_shared_and_has_the_element_that_grows() -> None:
    card = body_of(Said(), stream=NewStream(text="...", title="Answer")).content
    assert card["schema"] == "2.0"
    assert card["config"] == {"streaming_mode": True, "update_multi": True}
    assert card["header"]["title"]["content"] == "Answer"
    (element,) = card["body"]["elements"]
    assert (element["element_id"], element["content"]) == (STREAM_ELEMENT, "...")
    assert "header" not in body_of(Said(), stream=NewStream()).content


@pytest.mark.parametrize(
    ("said", "named"),
    [
        (Said(), "`stream`"),
        (Said(markdown=""), "`markdown`"),
        (of(("file", {"file_id": "f"}), ("text", {"text": "a"})), "by itself"),
        (of(("text", {"text": "a"}), ("location", {})), r"segments\[1\]\.type"),
        (of(("reply", {"message_id": "om_1"})), "`segments`"),
        (of(("image", {})), r"segments\[0\]\.data\.file_id"),
        (of(("text", {"text": ""})), "`segments`"),
    ],
)
def test_what_cannot_be_said_is_refused_by_its_name(said: Said, named: str) -> None:
    with pytest.raises(CommandError, match=named) as refusal:
        body_of(said)
    assert refusal.value.retcode == RetCode.BAD_PARAM


def test_a_segment_says_what_is_answered_unless_the_parameter_does() -> None:
    segments = [{"type": "text", "data": {"text": "a"}}, {"type": "reply", "data": {"message_id": "om_1"}}]
    assert message_request({"chat": "oc_1", "segments": segments}).path.endswith("/om_1/reply")
    named = {"chat": "oc_1", "segments": segments, "reply_to": "om_2"}
    assert message_request(named).path.endswith("/om_2/reply")


def test_a_thread_is_begun_with_an_answer() -> None:
    request = message_request({"reply_to": "om_1", "text": "a", "thread": True})
    assert request.body is not None
    assert request.body["reply_in_thread"] is True
    with pytest.raises(CommandError, match="`thread` needs `reply_to`"):
        message_request({"chat": "oc_1", "text": "a", "thread": True})
