"""What a Lark message says: its `content`, by message type, as text, segments and resources. Pure.

`content` is JSON in a text. Shapes: Lark's document «received message content»
(im-v1/message/events/message_content), which has every type below; `docs/platforms.md` 1.5. Not established:
what else a card may hold (its shape is not the one that was sent), and whether a folder can be fetched. Lark
refuses to give out stickers and what is inside cards.

Whatever has no segment of its own in `docs/protocol.md` becomes a `card`: Lark's fields, and as `kind` its
message type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from longwire_connectors.lark.payload import Json, items, part, read_object, text
from longwire_connectors.lark.richtext import Content, Mentions, file_segment, read_paragraphs, read_words
from longwire_protocol.event import Resource, Segment

_BLANK = re.compile(r"\{(\w+)\}")
"""A place to fill in a system message's template."""


def read_content(message_type: str, content: str, *, mentions: Mentions) -> Content | None:
    """Return what a message says; `None` for a type or shape not known here.

    Args:
        message_type: as `text` or `post`.
        content: the message's JSON text.
        mentions: who is meant, by the key in the text.
    """
    read = _READERS.get(message_type)
    if read is None:
        return None
    if message_type == "text":  # nearly all there is, and worth a way of its own
        try:
            return read_words(_texts.decode(content).text, mentions)
        except (msgspec.MsgspecError, RecursionError):
            pass
    fields = read_object(content)
    return None if fields is None else read(message_type, fields, mentions)


class _Text(msgspec.Struct):
    text: str


_texts = msgspec.json.Decoder(_Text)


def _read_text(_: str, fields: Json, mentions: Mentions) -> Content | None:
    words = fields.get("text")
    return read_words(words, mentions) if isinstance(words, str) else None


def _read_post(_: str, fields: Json, mentions: Mentions) -> Content | None:
    """Read a post, also one that is wrapped in a language (`{"zh_cn": {...}}`), as posts are when sent."""
    wrapped = (part(fields, language) for language in fields)
    post = next((one for one in (fields, *wrapped) if isinstance(one.get("content"), list)), None)
    return None if post is None else read_paragraphs(text(post, "title"), post["content"], mentions)


def _read_image(_: str, fields: Json, __: Mentions) -> Content | None:
    key = text(fields, "image_key")
    return None if key is None else _file(file_segment("image", key))


def _read_file(message_type: str, fields: Json, _: Mentions) -> Content | None:
    key = text(fields, "file_key")
    if key is None:
        return None
    segment = file_segment(
        _FILES[message_type],
        key,
        name=text(fields, "file_name"),
        duration_ms=_milliseconds(fields.get("duration")),
        cover_id=text(fields, "image_key"),
        is_folder=message_type == "folder" or None,
    )
    return _file(segment)


def _read_location(_: str, fields: Json, __: Mentions) -> Content:
    return Content(text(fields, "name"), [Segment("location", fields)], [])


def _read_card(message_type: str, fields: Json, mentions: Mentions) -> Content:
    words = _WORDS[message_type](fields, mentions)
    return Content(words or None, [Segment("card", {**fields, "kind": message_type})], [])


def _file(segment: Segment) -> Content:
    data = segment.data
    return Content(None, [segment], [Resource(id=data["file_id"], kind=segment.type, name=data.get("name"))])


def _milliseconds(given: Any) -> int | None:
    """Return a duration as a number, also where Lark writes it as a text."""
    match given:
        case bool():
            return None
        case int():
            return given
        case str() if given.isascii() and given.isdigit() and len(given) < 16:  # noqa: PLR2004  beyond: no time
            return int(given)
        case _:
            return None


def _said(name: str) -> Callable[[Json, Mentions], str | None]:
    return lambda fields, _: text(fields, name)


def _of_card(fields: Json, mentions: Mentions) -> str | None:
    words = read_paragraphs(text(fields, "title"), items(fields, "elements"), mentions).text
    return words and words.strip("\n")


def _of_todo(fields: Json, mentions: Mentions) -> str | None:
    summary = _read_post("post", part(fields, "summary"), mentions)
    return None if summary is None else summary.text


def _of_vote(fields: Json, _: Mentions) -> str:
    lines = [fields.get("topic"), *items(fields, "options")]
    return "\n".join(line for line in lines if isinstance(line, str))


def _of_system(fields: Json, _: Mentions) -> str:
    """Fill in a template such as `{from_user} invited {to_chatters} to this chat.`."""
    return _BLANK.sub(lambda blank: _filled(fields, blank), text(fields, "template") or "")


def _filled(fields: Json, blank: re.Match[str]) -> str:
    match fields.get(blank.group(1)):
        case str(words):
            return words
        case [*names]:
            return ", ".join(name for name in names if isinstance(name, str))
        case {"text": str(words)}:  # divider_text
            return words
        case _:
            return blank.group()


_FILES = {
    "file": "file",
    "folder": "file",
    "audio": "audio",
    "media": "video",
    "video": "video",
    "sticker": "sticker",
}
"""Kinds of segments, by message type."""

_WORDS: Mapping[str, Callable[[Json, Mentions], str | None]] = {
    "interactive": _of_card,
    "share_chat": _said("chat_name"),  # not established; the document has the id alone
    "share_user": _said("user_name"),  # likewise
    "share_calendar_event": _said("summary"),
    "calendar": _said("summary"),
    "general_calendar": _said("summary"),
    "video_chat": _said("topic"),
    "todo": _of_todo,
    "vote": _of_vote,
    "hongbao": _said("text"),
    "system": _of_system,
    "merge_forward": lambda _, __: None,  # its `content` always says the same
}
"""What can be read of message types that become a `card`."""

_READERS: Mapping[str, Callable[[str, Json, Mentions], Content | None]] = {
    "text": _read_text,
    "post": _read_post,
    "image": _read_image,
    "location": _read_location,
    **dict.fromkeys(_FILES, _read_file),
    **dict.fromkeys(_WORDS, _read_card),
}
