"""What a Lark message says: its `content`, by message type, as text, segments and resources. Pure.

Shapes: `content` is JSON in a text; see Lark's document «receive message content», `docs/platforms.md` 1.5.
Mentions stand in it as `@_user_1`, `@_user_2`, ..., and the event's `mentions` say who that is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from longwire_protocol.event import Resource, Segment

EVERYONE_KEY = "@_all"
EVERYONE = "all"
"""Id and name of a mention of everybody; Lark sends no entry for it among the mentions."""

_KEY = re.compile(r"@_user_\d+|@_all\b")


class Mention(msgspec.Struct, frozen=True):
    """Someone a message mentions."""

    id: str
    name: str


class Content(msgspec.Struct, frozen=True):
    """A message's content; `text` is `None` where nothing is written."""

    text: str | None
    segments: list[Segment]
    resources: list[Resource]


Mentions = Mapping[str, Mention]


def read_content(message_type: str, content: str, *, mentions: Mentions) -> Content | None:
    """Return what a message says; `None` for a type or shape not known here.

    Args:
        message_type: `text`, `post`, `image` or `file`.
        content: the message's JSON text.
        mentions: who is meant, by the key in the text.
    """
    read = _READERS.get(message_type)
    if read is None:
        return None
    try:
        return read(content, mentions)
    except (msgspec.MsgspecError, RecursionError):
        return None


class _Text(msgspec.Struct):
    text: str


class _Image(msgspec.Struct):
    image_key: str


class _File(msgspec.Struct):
    file_key: str
    file_name: str | None = None


class _Node(msgspec.Struct):
    """A piece of a paragraph; which fields it has depends on its tag."""

    tag: str = ""
    text: str | None = None
    href: str | None = None
    user_id: str | None = None
    user_name: str | None = None
    image_key: str | None = None
    file_key: str | None = None
    file_name: str | None = None
    emoji_type: str | None = None


class _Post(msgspec.Struct):
    content: list[list[_Node]]
    title: str | None = None


def _read_text(content: str, mentions: Mentions) -> Content:
    words = msgspec.json.decode(content, type=_Text).text
    return _assemble(_split_mentions(words, mentions))


def _read_post(content: str, mentions: Mentions) -> Content:
    post = _decode_post(content)
    pieces: list[Segment] = [_text_segment(post.title + "\n")] if post.title else []
    for number, paragraph in enumerate(post.content):
        if number:
            pieces.append(_text_segment("\n"))
        for node in paragraph:
            pieces += _read_node(node, mentions)
    return _assemble(pieces)


def _decode_post(content: str) -> _Post:
    """Read a post, also one that is wrapped in a language (`{"zh_cn": {...}}`), as posts are when sent."""
    try:
        return msgspec.json.decode(content, type=_Post)
    except msgspec.ValidationError:
        by_language = msgspec.json.decode(content, type=dict[str, _Post])
        if not by_language:
            raise
        return next(iter(by_language.values()))


def _read_image(content: str, _: Mentions) -> Content:
    return _assemble(_image(msgspec.json.decode(content, type=_Image).image_key))


def _read_file(content: str, _: Mentions) -> Content:
    file = msgspec.json.decode(content, type=_File)
    return _assemble(_file("file", file.file_key, file.file_name))


_READERS: Mapping[str, Callable[[str, Mentions], Content]] = {
    "text": _read_text,
    "post": _read_post,
    "image": _read_image,
    "file": _read_file,
}


def _read_node(node: _Node, mentions: Mentions) -> list[Segment]:  # noqa: PLR0911  a table of tags
    match node:
        case _Node(tag="at", user_id=str(key)):
            return [_mention_segment(mentions.get(key) or _named(key, node.user_name))]
        case _Node(tag="img", image_key=str(key)):
            return _image(key)
        case _Node(tag="media", file_key=str(key)):
            return _file("video", key, node.file_name)
        case _Node(tag="a", href=str(href)):
            return [Segment("text", {"text": node.text or href, "href": href})]
        case _Node(tag="emotion", emoji_type=str(name)):
            return [_text_segment(f"[{name}]")]
        case _Node(tag="hr"):
            return [_text_segment("---")]
        case _Node(text=str(words)):  # text, code_block, md, and tags not known yet
            return list(_split_mentions(words, mentions))
        case _:
            return []


def _named(key: str, name: str | None) -> Mention:
    if key in (EVERYONE_KEY, EVERYONE):
        return Mention(EVERYONE, EVERYONE)
    return Mention(key, name or key)


def _split_mentions(words: str, mentions: Mentions) -> Iterator[Segment]:
    start = 0
    for found in _KEY.finditer(words):
        key = found.group()
        mention = _named(key, None) if key == EVERYONE_KEY else mentions.get(key)
        if mention is not None:
            if before := words[start : found.start()]:
                yield _text_segment(before)
            yield _mention_segment(mention)
            start = found.end()
    if rest := words[start:]:
        yield _text_segment(rest)


def _text_segment(words: str) -> Segment:
    return Segment("text", {"text": words})


def _mention_segment(mention: Mention) -> Segment:
    return Segment("mention", {"user_id": mention.id, "name": mention.name})


def _image(key: str) -> list[Segment]:
    return [Segment("image", {"file_id": key})]


def _file(kind: str, key: str, name: str | None) -> list[Segment]:
    data = {"file_id": key} if name is None else {"file_id": key, "name": name}
    return [Segment(kind, data)]


def _assemble(pieces: Iterable[Segment]) -> Content:
    """Join neighbouring texts, and read text and resources off the segments."""
    segments: list[Segment] = []
    for piece in pieces:
        if segments and _is_plain(piece) and _is_plain(segments[-1]):
            segments[-1] = _text_segment(segments[-1].data["text"] + piece.data["text"])
        else:
            segments.append(piece)
    words = [_readable(segment) for segment in segments if segment.type in ("text", "mention")]
    resources = [_resource(segment) for segment in segments if "file_id" in segment.data]
    return Content("".join(words) if words else None, segments, resources)


def _is_plain(segment: Segment) -> bool:
    return segment.type == "text" and "href" not in segment.data


def _readable(segment: Segment) -> str:
    data: dict[str, Any] = segment.data
    return f"@{data['name']}" if segment.type == "mention" else str(data["text"])


def _resource(segment: Segment) -> Resource:
    return Resource(id=segment.data["file_id"], kind=segment.type, name=segment.data.get("name"))
