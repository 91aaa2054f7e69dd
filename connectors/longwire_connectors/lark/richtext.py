"""Lark's rich text as segments: paragraphs of nodes, and mentions within words. Pure.

A node is `{"tag": ..., ...}`; which fields it has depends on its tag. Shapes: Lark's document «received
message content» (im-v1/message/events/message_content), sections `post` and `interactive`. What a node lacks,
or has of another type, costs that node alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import msgspec

from longwire_connectors.lark.payload import Json, text
from longwire_connectors.lark.people import mention
from longwire_protocol.event import Resource, Segment

EVERYONE = "all"
"""Id and name of a mention of everybody; Lark sends no entry for it among the mentions."""
_EVERYONE_KEY = "@_all"
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
"""Who is meant, by the key in the text: `@_user_1`, `@_user_2`, ..."""


def read_words(words: str, mentions: Mentions) -> Content:
    """Return plain words with mentions in them."""
    if "@_" not in words:
        return Content(words or None, [text_segment(words)] if words else [], [])
    return assemble(_split_mentions(words, mentions))


def read_paragraphs(title: str | None, paragraphs: Iterable[Any], mentions: Mentions) -> Content:
    """Return a rich text, its paragraphs on lines of their own."""
    lines = ([title], *paragraphs) if title else paragraphs
    return assemble(_pieces(lines, mentions))


def file_segment(kind: str, key: str, **known: Any) -> Segment:
    """Return something to be fetched apart; what is `None` is left out."""
    told = {name: value for name, value in known.items() if value is not None}
    return Segment(kind, {"file_id": key, **told})


def text_segment(words: str) -> Segment:
    """Return a text."""
    return Segment("text", {"text": words})


def assemble(pieces: Iterable[Segment]) -> Content:
    """Join neighbouring texts, and read text and resources off the segments."""
    segments: list[Segment] = []
    run: list[str] = []  # joined once: adding to a segment piece by piece is quadratic in a hostile post
    for piece in pieces:
        if _is_plain(piece):
            run.append(piece.data["text"])
            continue
        if run:
            segments.append(text_segment("".join(run)))
            run = []
        segments.append(piece)
    if run:
        segments.append(text_segment("".join(run)))
    words = [_readable(segment) for segment in segments if segment.type in ("text", "mention")]
    resources = [_resource(segment) for segment in segments if "file_id" in segment.data]
    return Content("".join(words) or None, segments, resources)


def _pieces(lines: Iterable[Any], mentions: Mentions) -> Iterator[Segment]:
    for number, line in enumerate(lines):
        if number:
            yield text_segment("\n")
        match line:
            case [*nodes]:
                for node in nodes:
                    yield from _read_node(node, mentions)
            case _:
                pass


def _read_node(node: Any, mentions: Mentions) -> Iterable[Segment]:  # noqa: PLR0911  a table of tags
    match node:
        case str():  # a title
            return [text_segment(node)]
        case {"tag": "at", "user_id": str(key)}:
            return [_mention(mentions.get(key) or _named(key, text(cast("Json", node), "user_name")))]
        case {"tag": "img", "image_key": str(key)} if key:
            return [file_segment("image", key)]
        case {"tag": "media", "file_key": str(key)} if key:
            given = cast("Json", node)
            name, cover = text(given, "file_name"), text(given, "image_key")
            return [file_segment("video", key, name=name, cover_id=cover)]
        case {"tag": "a", "href": str(href)}:
            return [Segment("text", {"text": text(cast("Json", node), "text") or href, "href": href})]
        case {"tag": "emotion", "emoji_type": str(name)}:
            return [text_segment(f"[{name}]")]
        case {"tag": "hr"}:
            return [text_segment("---")]
        case {"text": str(words)}:  # text, code_block, md, button, and tags not known yet
            return _split_mentions(words, mentions)
        case {"elements": [*nodes]}:  # note, and what else holds nodes
            return [piece for inner in nodes for piece in _read_node(inner, mentions)]
        case _:
            return []


def _named(key: str, name: str | None) -> Mention:
    if key in (_EVERYONE_KEY, EVERYONE):
        return Mention(EVERYONE, EVERYONE)
    return Mention(key, name or key)


def _split_mentions(words: str, mentions: Mentions) -> Iterator[Segment]:
    start = 0
    for found in _KEY.finditer(words):
        key = found.group()
        meant = _named(key, None) if key == _EVERYONE_KEY else mentions.get(key)
        if meant is not None:
            if before := words[start : found.start()]:
                yield text_segment(before)
            yield _mention(meant)
            start = found.end()
    if rest := words[start:]:
        yield text_segment(rest)


def _mention(meant: Mention) -> Segment:
    return mention(meant.id, meant.name)


def _is_plain(segment: Segment) -> bool:
    return segment.type == "text" and "href" not in segment.data


def _readable(segment: Segment) -> str:
    data: dict[str, Any] = segment.data
    return f"@{data['name']}" if segment.type == "mention" else str(data["text"])


def _resource(segment: Segment) -> Resource:
    return Resource(id=segment.data["file_id"], kind=segment.type, name=segment.data.get("name"))
