"""What a message is to say, in the forms of DingTalk's robots. Pure.

Shapes: open.dingtalk.com «types of messages sent by robots» (`msgKey`, `msgParam`) for OpenAPI, the SDK's
`chatbot.py` (`reply_text`, `reply_markdown`) for session webhooks, which carry texts and Markdown only.
Words and mentions are a text; with Markdown or an image among them they become Markdown; a file, a voice
message or a video stands alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec

from longwire_connectors.dingtalk.cards import NewCard, NewStream, card_of, streaming_card
from longwire_connectors.dingtalk.params import Json, Placed, bad, one_of, require
from longwire_protocol.errors import CommandError, RetCode

MAX_TITLE = 40
"""Characters of a Markdown message's title, which a list of chats shows; longer ones are cut there anyway."""
FALLBACK_TITLE = "…"
"""The title where Markdown has no words."""

_WORDS = ("text", "mention", "markdown", "image")
_ALONE = ("file", "audio", "video")
_MARKS = re.compile(r"!\[[^\]]*\]\([^)]*\)|^[\s#>*\-+]+|[*`~]|\]\([^)]*\)|\[")


class Segment(msgspec.Struct, forbid_unknown_fields=True):
    """A piece of a message, as in an event."""

    type: str
    data: Json


class _Sample(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A robot's message in DingTalk's own form."""

    msg_key: str
    msg_param: Json


class Message(Placed, forbid_unknown_fields=True, kw_only=True):
    """The parameters of `message.create`; exactly one of the last five is given."""

    reply_to: str | None = None
    """DingTalk's robots answer in the chat, not to a message; it is checked all the same."""
    thread: bool = False
    text: str | None = None
    markdown: str | None = None
    segments: list[Segment] | None = None
    card: Json | None = None
    stream: NewStream | None = None


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """A message for a robot to send."""

    key: str
    """`msgKey`."""
    param: Json
    """What becomes the JSON text `msgParam`."""
    webhook: Json | None = None
    """The body for a session webhook; `None` if those do not carry it."""

    @property
    def encoded(self) -> Json:
        """As an OpenAPI call carries it."""
        return {"msgKey": self.key, "msgParam": msgspec.json.encode(self.param).decode()}


def content_of(said: Message) -> Content | NewCard:
    """Return what is to be sent.

    Raises:
        CommandError: `BAD_PARAM`, naming the parameter; `UNSUPPORTED` for what DingTalk's robots have not.
    """
    if said.thread:
        raise CommandError(RetCode.UNSUPPORTED, "`thread`: DingTalk's chats have no threads")
    if said.reply_to is not None:
        require(said.reply_to, "reply_to")
    name, given = one_of(
        text=said.text, markdown=said.markdown, segments=said.segments, card=said.card, stream=said.stream
    )
    match name:
        case "text":
            return _text(require(given, name))
        case "markdown":
            return _markdown(require(given, name))
        case "segments":
            return _of_segments(given)
        case "stream":
            return streaming_card(given)
        case _:
            return _of_card(given)


def _text(words: str, *, mentioned: Sequence[str] = ()) -> Content:
    webhook: Json = {"msgtype": "text", "text": {"content": words}, **_at(mentioned)}
    return Content(key="sampleText", param={"content": words}, webhook=webhook)


def _markdown(words: str, *, mentioned: Sequence[str] = ()) -> Content:
    param = {"title": title_of(words), "text": words}
    webhook: Json = {"msgtype": "markdown", "markdown": param, **_at(mentioned)}
    return Content(key="sampleMarkdown", param=param, webhook=webhook)


def title_of(markdown: str) -> str:
    """Return the first words of Markdown, without its marks."""
    lines = (_MARKS.sub("", line).strip() for line in markdown.splitlines())
    return next((line[:MAX_TITLE] for line in lines if line), FALLBACK_TITLE)


def _at(mentioned: Sequence[str]) -> Json:
    return {"at": {"atUserIds": list(mentioned), "isAtAll": False}} if mentioned else {}


def _of_card(card: Json) -> Content | NewCard:
    """Return a card: a robot's message in DingTalk's own form, or an interactive one by its template."""
    if "cardTemplateId" in card:
        return card_of(card)
    try:
        sample = msgspec.convert(card, _Sample)
    except msgspec.ValidationError as error:
        raise bad(f"`card` is {{msgKey, msgParam}} or {{cardTemplateId, cardData}}: {error}") from error
    return Content(key=require(sample.msg_key, "card.msgKey"), param=sample.msg_param)


def _of_segments(given: list[Segment]) -> Content:
    # DingTalk's robots answer in the chat, not to a message.
    segments = [(f"segments[{at}]", one) for at, one in enumerate(given) if one.type != "reply"]
    if not segments:
        raise bad("`segments` must hold something to say")
    if len(segments) == 1:
        place, segment = segments[0]
        if segment.type in (*_ALONE, "image"):
            return _alone(place, segment)
    for place, segment in segments:
        _check(place, segment)
    mentioned = [_field(place, one, "user_id") for place, one in segments if one.type == "mention"]
    words = require("".join(_words(place, one) for place, one in segments), "segments")
    is_plain = all(one.type in ("text", "mention") for _, one in segments)
    return (_text if is_plain else _markdown)(words, mentioned=mentioned)


def _check(place: str, segment: Segment) -> None:
    if segment.type in _ALONE:
        raise bad(f"`{place}`: a {segment.type} is a message by itself on DingTalk")
    if segment.type not in _WORDS:
        raise CommandError(
            RetCode.UNSUPPORTED,
            f"`{place}.type`: DingTalk's robots send text, mention, markdown, image, file, audio and video",
        )


def _words(place: str, segment: Segment) -> str:
    match segment.type:
        case "mention":
            user = _field(place, segment, "user_id")
            name = segment.data.get("name")
            return f"@{name if isinstance(name, str) and name else user}"
        case "image":
            return f"\n\n![]({_field(place, segment, 'file_id')})\n\n"
        case _:
            return _field(place, segment, "text")


def _alone(place: str, segment: Segment) -> Content:
    """Return what is a message by itself; its file was uploaded before."""
    file_id = _field(place, segment, "file_id")
    match segment.type:
        case "image":
            return Content(key="sampleImageMsg", param={"photoURL": file_id})
        case "file":
            name = _field(place, segment, "name")
            kind = PurePosixPath(name).suffix.removeprefix(".").lower()
            if not kind:
                raise bad(f"`{place}.data.name` must end in the file's type, as report.pdf")
            return Content(key="sampleFile", param={"mediaId": file_id, "fileName": name, "fileType": kind})
        case "audio":
            return Content(
                key="sampleAudio", param={"mediaId": file_id, "duration": _duration(place, segment)}
            )
        case _:
            cover = _field(place, segment, "cover_id")
            param = {"videoMediaId": file_id, "videoType": "mp4", "picMediaId": cover}
            return Content(key="sampleVideo", param={**param, "duration": _duration(place, segment)})


def _duration(place: str, segment: Segment) -> str:
    """Return `duration`: a voice message's in milliseconds, a video's in seconds, as DingTalk has it."""
    given = segment.data.get("duration")
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise bad(f"`{place}.data.duration` must be a whole number: milliseconds of audio, seconds of video")
    return str(given)


def _field(place: str, segment: Segment, name: str) -> str:
    """Return a text of a segment's data that is not empty; `BAD_PARAM` if it is none."""
    value: Any = segment.data.get(name)
    if not isinstance(value, str) or not value:
        raise bad(f"`{place}.data.{name}` must be a text")
    return value
