"""A `message.create` as Lark's REST call. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from longwire_protocol.errors import CommandError, RetCode

_ID_TYPES = {"oc_": "chat_id", "ou_": "open_id", "on_": "union_id"}
"""What an id is, by how it begins; of the others, those with an @ are e-mail addresses."""


class Request(msgspec.Struct, frozen=True):
    """A call below `/open-apis`; `body` still lacks the `uuid`."""

    path: str
    query: dict[str, str]
    body: dict[str, Any]


class _Target(msgspec.Struct):
    id: str
    thread_id: str | None = None


class _Segment(msgspec.Struct):
    type: str
    data: dict[str, Any]


class _Params(msgspec.Struct, forbid_unknown_fields=True):
    chat: str | _Target | None = None
    user: str | _Target | None = None
    reply_to: str | None = None
    text: str | None = None
    segments: list[_Segment] | None = None
    card: dict[str, Any] | None = None
    account: Any = None
    tenant: Any = None
    """These two only say whose message it is, and were used on the way here."""


def message_request(given: dict[str, Any]) -> Request:
    """Return the call that sends a message.

    Raises:
        CommandError: BAD_PARAM, naming the parameter.
    """
    try:
        params = msgspec.convert(given, type=_Params)
    except msgspec.ValidationError as error:
        raise _bad(str(error)) from error
    kind, content = _content(params)
    body = {"msg_type": kind, "content": msgspec.json.encode(content).decode()}
    if params.reply_to is not None:
        return _reply(params, body)
    # A reply names both, for the platforms that need the user; the chat says where.
    user = params.user if params.chat is None else None
    name, target = _one_of(chat=params.chat, user=user)
    receiver = _id_of(target)
    _require(receiver, name)
    return Request(
        "/im/v1/messages", {"receive_id_type": id_type(receiver)}, {"receive_id": receiver, **body}
    )


def id_type(receiver: str) -> str:
    """Return what kind of id this is, in the words of `receive_id_type`."""
    known = _ID_TYPES.get(receiver[:3])
    if known is not None:
        return known
    return "email" if "@" in receiver else "user_id"


def _reply(params: _Params, body: dict[str, Any]) -> Request:
    """Answer a message; in its thread where the chat given is one."""
    message_id = params.reply_to or ""
    _require(message_id, "reply_to")
    if not message_id.replace("_", "").replace("-", "").isalnum():
        raise _bad("`reply_to` is not a message_id")  # it becomes part of a path
    is_threaded = isinstance(params.chat, _Target) and bool(params.chat.thread_id)
    more = {"reply_in_thread": True} if is_threaded else {}
    return Request(f"/im/v1/messages/{message_id}/reply", {}, {**body, **more})


def _content(params: _Params) -> tuple[str, dict[str, Any]]:
    name, content = _one_of(text=params.text, segments=params.segments, card=params.card)
    if name == "card":
        return "interactive", content
    words = _words(content) if name == "segments" else content
    _require(words, name)
    return "text", {"text": words}


def _words(segments: list[_Segment]) -> str:
    return "".join(_word(segment, place=f"segments[{number}]") for number, segment in enumerate(segments))


def _word(segment: _Segment, *, place: str) -> str:
    data = segment.data
    if segment.type == "text":
        return _field(data, "text", place=place)
    if segment.type == "mention":
        user = _field(data, "user_id", place=place)
        name = data.get("name", "")
        return f'<at user_id="{_plain(user)}">{_plain(str(name))}</at>'
    raise _bad(f"`{place}.type`: {segment.type!r} cannot be sent to Lark, only text and mention")


def _field(data: dict[str, Any], name: str, *, place: str) -> str:
    value = data.get(name)
    if not isinstance(value, str):
        raise _bad(f"`{place}.data.{name}` must be a text")
    return value


def _plain(words: str) -> str:
    """Return `words` without what would end the tag they stand in."""
    return words.translate(dict.fromkeys(map(ord, '<>"')))


def _id_of(target: str | _Target) -> str:
    return target if isinstance(target, str) else target.id


def _one_of(**choices: Any) -> tuple[str, Any]:
    given = [(name, value) for name, value in choices.items() if value is not None]
    if len(given) != 1:
        raise _bad(f"give exactly one of {', '.join(f'`{name}`' for name in choices)}")
    return given[0]


def _require(value: str, name: str) -> None:
    if not value:
        raise _bad(f"`{name}` is empty")


def _bad(message: str) -> CommandError:
    return CommandError(RetCode.BAD_PARAM, message)
