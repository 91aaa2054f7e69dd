"""What a robot message says: text, segments, and what must be fetched apart. Pure.

Shapes: `docs/platforms.md` 4.4, dingtalk_stream `chatbot.py` 190-252 (ChatbotMessage) and, for each
`msgtype`, open-dingtalk/developerpedia `docs/learn/bot/appbot/receive.md`. `interactiveCard` and `chatRecord`
are read as public code reads them. Not established: the unit of `duration` (sources differ), so it is handed
on as it comes; and where in a text the mentions stood, which the platform takes out, so they come before it.
A field that is missing or of another type is left out.
"""

from __future__ import annotations

from typing import Any

import msgspec

from longwire_connectors.dingtalk.shapes import as_list, as_map, as_text
from longwire_protocol.event import Resource, Segment

_MEDIA = {"picture": "image", "file": "file", "audio": "audio", "video": "video"}
"""Kinds of messages that are one resource, by `msgtype`."""
_CARDS = {"interactiveCard": ("title", "biz_custom_action_url"), "chatRecord": ("summary",)}
"""What can be read of messages that become a card, by `msgtype`: the first of these fields that is there."""


class Content(msgspec.Struct, kw_only=True):
    """The readable part of a message."""

    text: str | None = None
    reply_to: str | None = None
    segments: list[Segment] = []
    resources: list[Resource] = []


def read_content(fields: dict[str, Any]) -> Content | None:
    """Return what a message says; `None` for a `msgtype` that is not known."""
    read = _read(fields.get("msgtype"), fields)
    if read is None:
        return None
    read.reply_to = _quoted(fields)
    quoted = [Segment("reply", {"message_id": read.reply_to})] if read.reply_to else []
    read.segments = [*quoted, *_mentions(fields), *read.segments]
    return read


def _read(kind: Any, fields: dict[str, Any]) -> Content | None:
    content = as_map(fields.get("content"))
    if kind == "text":
        return _of_text(as_map(fields.get("text")))
    if kind == "richText":
        return _of_rich_text(content)
    if isinstance(kind, str) and kind in _MEDIA:
        return _of_media(_MEDIA[kind], content)
    if isinstance(kind, str) and kind in _CARDS:
        return _of_card(kind, content)
    return None


def _of_text(said: dict[str, Any]) -> Content:
    """Return a text; the platform takes the mention of the robot out and leaves a space in front."""
    text = (as_text(said.get("content")) or "").lstrip(" ")
    return Content(text=text, segments=[Segment("text", {"text": text})] if text else [])


def _of_rich_text(content: dict[str, Any]) -> Content:
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
    # What was said in a voice message, as the platform itself recognised it.
    read = Content(text=as_text(content.get("recognition")))
    if code := _code(content):
        name = as_text(content.get("fileName"))
        told = {"name": name, "duration": content.get("duration"), "video_type": content.get("videoType")}
        known = {field: value for field, value in told.items() if isinstance(value, str | int | float)}
        read.segments.append(Segment(kind, {"file_id": code, **known}))
        read.resources.append(Resource(id=code, kind=kind, name=name))
    return read


def _of_card(kind: str, content: dict[str, Any]) -> Content:
    readable = (as_text(content.get(name)) for name in _CARDS[kind])
    card = Segment("card", {**content, "kind": kind})
    return Content(text=next((text for text in readable if text), None), segments=[card])


def _quoted(fields: dict[str, Any]) -> str | None:
    """Return the id of the message that this one answers."""
    replied = as_map(as_map(fields.get("text")).get("repliedMsg"))
    return as_text(replied.get("msgId")) or as_text(fields.get("originalMsgId"))


def _mentions(fields: dict[str, Any]) -> list[Segment]:
    """Return whom a message mentions, but for the robot; names are not told."""
    robot = as_text(fields.get("chatbotUserId"))
    users = map(as_map, as_list(fields.get("atUsers")))
    ids = (
        as_text(user.get("staffId")) or as_text(user.get("dingtalkId"))
        for user in users
        if user.get("dingtalkId") != robot
    )
    return [Segment("mention", {"user_id": given, "name": given}) for given in ids if given]


def _code(content: dict[str, Any]) -> str | None:
    return as_text(content.get("downloadCode")) or as_text(content.get("pictureDownloadCode"))
