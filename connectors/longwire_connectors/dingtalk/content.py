"""What a robot message says: text, segments, and what must be fetched apart. Pure.

Layouts: `docs/platforms.md` 4.4 and dingtalk_stream `chatbot.py` 190-252. They are loosely kept by the
platform (`downloadCode` or `pictureDownloadCode`), so a field that is missing or of another type is left out.
"""

from __future__ import annotations

from typing import Any

import msgspec

from longwire_connectors.dingtalk.shapes import as_list, as_map, as_text
from longwire_protocol.event import Resource, Segment

_MEDIA = {"picture": "image", "file": "file", "audio": "audio", "video": "video"}
"""Kinds of messages that are one resource, by `msgtype`."""


class Content(msgspec.Struct, kw_only=True):
    """The readable part of a message."""

    text: str | None = None
    reply_to: str | None = None
    segments: list[Segment] = []
    resources: list[Resource] = []


def read_content(fields: dict[str, Any]) -> Content | None:
    """Return what a message says; `None` for a `msgtype` that is not known."""
    kind = fields.get("msgtype")
    if kind == "text":
        return _ofas_text(fields)
    if kind == "richText":
        return _of_richas_text(as_map(fields.get("content")))
    if isinstance(kind, str) and kind in _MEDIA:
        return _of_media(_MEDIA[kind], as_map(fields.get("content")))
    return None


def _ofas_text(fields: dict[str, Any]) -> Content:
    """Return a text; the platform takes the mention of the robot out and leaves a space in front."""
    said = as_map(fields.get("text"))
    text = (as_text(said.get("content")) or "").lstrip(" ")
    quoted = as_text(as_map(said.get("repliedMsg")).get("msgId")) or as_text(fields.get("originalMsgId"))
    segments = [Segment("reply", {"message_id": quoted})] if quoted else []
    segments += [Segment("text", {"text": text})] if text else []
    return Content(text=text, reply_to=quoted, segments=segments)


def _of_richas_text(content: dict[str, Any]) -> Content:
    read = Content()
    for piece in map(as_map, as_list(content.get("richText"))):
        text, code = as_text(piece.get("text")), _code(piece)
        if text:
            read.segments.append(Segment("text", {"text": text}))
        if code:
            read.segments.append(Segment("image", {"file_id": code}))
            read.resources.append(Resource(id=code, kind="image"))
    texts = (segment.data["text"] for segment in read.segments if segment.type == "text")
    read.text = "".join(texts).lstrip(" ")
    return read


def _of_media(kind: str, content: dict[str, Any]) -> Content:
    code, name = _code(content), as_text(content.get("fileName"))
    # What was said in a voice message, as the platform itself recognised it.
    read = Content(text=as_text(content.get("recognition")))
    if code:
        data = {"file_id": code} | ({"name": name} if name else {})
        read.segments.append(Segment(kind, data))
        read.resources.append(Resource(id=code, kind=kind, name=name))
    return read


def _code(content: dict[str, Any]) -> str | None:
    return as_text(content.get("downloadCode")) or as_text(content.get("pictureDownloadCode"))
