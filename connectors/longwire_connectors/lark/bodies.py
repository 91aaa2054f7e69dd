"""What a message is to say, as Lark's message type and `content`. Pure.

Shapes: Lark's document «send message content» (im-v1/message/create_json). Words and mentions are a `text`;
with a link, an image or Markdown among them they become a `post`; a file stands alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from longwire_protocol.errors import CommandError, RetCode

STREAM_ELEMENT = "answer"
"""`element_id` of the text that grows, in a card made for a stream."""
_LANGUAGE = "zh_cn"
"""A post is written under a language; with one alone every reader sees that one."""
_ALONE = {
    "image": ("image", "image_key"),
    "file": ("file", "file_key"),
    "audio": ("audio", "file_key"),
    "video": ("media", "file_key"),
    "sticker": ("sticker", "file_key"),
}
"""Message type and key of what can be a message by itself."""
_IN_A_POST = ("text", "mention", "image", "markdown")

Node = dict[str, Any]


class Body(msgspec.Struct, frozen=True):
    """`msg_type`, and what becomes the JSON text `content`."""

    kind: str
    content: dict[str, Any]

    @property
    def encoded(self) -> dict[str, str]:
        """As a call carries it."""
        return {"msg_type": self.kind, "content": msgspec.json.encode(self.content).decode()}


class Segment(msgspec.Struct, forbid_unknown_fields=True):
    """A piece of a message, as in an event."""

    type: str
    data: dict[str, Any]


class NewStream(msgspec.Struct, forbid_unknown_fields=True):
    """A card whose text is going to grow."""

    text: str = ""
    title: str | None = None


class Said(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The parameters that say it; exactly one is given."""

    text: str | None = None
    markdown: str | None = None
    segments: list[Segment] | None = None
    card: dict[str, Any] | None = None


def body_of(said: Said, *, stream: NewStream | None = None) -> Body:
    """Return the body of a message.

    Raises:
        CommandError: BAD_PARAM, naming the parameter.
    """
    name, given = one_of(
        text=said.text, markdown=said.markdown, segments=said.segments, card=said.card, stream=stream
    )
    match name:
        case "card":
            return Body("interactive", given)
        case "stream":
            return Body("interactive", streaming_card(given))
        case "markdown":
            require(given, name)
            return _post([[_markdown(given)]])
        case "segments":
            return _of_segments(given)
        case _:
            require(given, name)
            return Body("text", {"text": given})


def streaming_card(stream: NewStream) -> dict[str, Any]:
    """Return a card whose text can be streamed (document «streaming updates»): JSON 2.0, shared."""
    header: Mapping[str, Any] = (
        {} if stream.title is None else {"header": {"title": {"tag": "plain_text", "content": stream.title}}}
    )
    element = {"tag": "markdown", "content": stream.text, "element_id": STREAM_ELEMENT}
    return {
        "schema": "2.0",
        "config": {"streaming_mode": True, "update_multi": True},
        **header,
        "body": {"elements": [element]},
    }


def one_of(**choices: Any) -> tuple[str, Any]:
    """Return name and value of the only one that is given.

    Raises:
        CommandError: BAD_PARAM: none is, or several are.
    """
    given = [(name, value) for name, value in choices.items() if value is not None]
    if len(given) != 1:
        raise bad(f"give exactly one of {', '.join(f'`{name}`' for name in choices)}")
    return given[0]


def require(value: str, name: str) -> None:
    """Raise BAD_PARAM where a parameter is empty."""
    if not value:
        raise bad(f"`{name}` is empty")


def bad(message: str) -> CommandError:
    """Return the refusal of a parameter."""
    return CommandError(RetCode.BAD_PARAM, message)


def _of_segments(given: list[Segment]) -> Body:
    # A reply says only to what; `reply_to` has it by now.
    segments = [(f"segments[{at}]", one) for at, one in enumerate(given) if one.type != "reply"]
    if not segments:
        raise bad("`segments` is empty")
    if len(segments) == 1 and segments[0][1].type in _ALONE:
        return _alone(*segments[0])
    for place, segment in segments:
        _check(place, segment)
    if all(segment.type in ("text", "mention") and "href" not in segment.data for _, segment in segments):
        words = "".join(_word(place, segment) for place, segment in segments)
        require(words, "segments")
        return Body("text", {"text": words})
    return _post(_paragraphs(segments))


def _check(place: str, segment: Segment) -> None:
    if segment.type in _ALONE and segment.type != "image":
        raise bad(f"`{place}`: a {segment.type} is a message by itself on Lark")
    if segment.type not in _IN_A_POST:
        raise bad(
            f"`{place}.type`: {segment.type!r} cannot be sent to Lark; text, mention, markdown, image, file, "
            "audio, video and sticker can, and `card` is a parameter"
        )


def _alone(place: str, segment: Segment) -> Body:
    kind, key = _ALONE[segment.type]
    content = {key: field(segment.data, "file_id", place=place)}
    if "cover_id" in segment.data:
        content["image_key"] = field(segment.data, "cover_id", place=place)
    return Body(kind, content)


def _word(place: str, segment: Segment) -> str:
    if segment.type == "text":
        return field(segment.data, "text", place=place)
    user = field(segment.data, "user_id", place=place)
    return f'<at user_id="{_plain(user)}">{_plain(str(segment.data.get("name", "")))}</at>'


def _paragraphs(segments: list[tuple[str, Segment]]) -> list[list[Node]]:
    """Return the lines of a post: images and Markdown have one to themselves."""
    lines: list[list[Node]] = [[]]
    for place, segment in segments:
        match segment.type:
            case "image":
                image = {"tag": "img", "image_key": field(segment.data, "file_id", place=place)}
                lines += [[image], []]
            case "markdown":
                lines += [[_markdown(field(segment.data, "text", place=place))], []]
            case "mention":
                lines[-1].append({"tag": "at", "user_id": field(segment.data, "user_id", place=place)})
            case _:
                first, *others = field(segment.data, "text", place=place).split("\n")
                lines[-1].append(_text_node(place, segment, first))
                lines += [[_text_node(place, segment, words)] for words in others]
    return [line for line in lines if line]


def _text_node(place: str, segment: Segment, words: str) -> Node:
    if "href" in segment.data:
        return {"tag": "a", "text": words, "href": field(segment.data, "href", place=place)}
    return {"tag": "text", "text": words}


def _markdown(words: str) -> Node:
    return {"tag": "md", "text": words}


def _post(lines: list[list[Node]]) -> Body:
    return Body("post", {_LANGUAGE: {"title": "", "content": lines}})


def field(data: Mapping[str, Any], name: str, *, place: str) -> str:
    """Return a text of a segment's data; BAD_PARAM if it is none."""
    value = data.get(name)
    if not isinstance(value, str):
        raise bad(f"`{place}.data.{name}` must be a text")
    return value


def _plain(words: str) -> str:
    """Return `words` without what would end the tag they stand in."""
    return words.translate(dict.fromkeys(map(ord, '<>"')))
