"""A `message.create` as Lark's REST call. Pure."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from longwire_connectors.lark.bodies import NewStream, Said, bad, body_of, field, one_of, require

T = TypeVar("T")

_ID_TYPES = {"oc_": "chat_id", "ou_": "open_id", "on_": "union_id"}
"""What an id is, by how it begins; of the others, those with an @ are e-mail addresses."""


class Request(msgspec.Struct, frozen=True):
    """A call below `/open-apis`."""

    path: str
    query: dict[str, str] = {}
    body: dict[str, Any] | None = None
    method: str = "POST"
    is_harmless: bool = False
    """Whether nothing is changed by it, or nothing that anybody notices; so it may be asked again at once."""


class _Target(msgspec.Struct):
    id: str
    thread_id: str | None = None


class _Params(Said, forbid_unknown_fields=True, kw_only=True):
    chat: str | _Target | None = None
    user: str | _Target | None = None
    reply_to: str | None = None
    thread: bool = False
    stream: NewStream | None = None
    account: Any = None
    tenant: Any = None
    """These two only say whose message it is, and were used on the way here."""


def message_request(given: dict[str, Any]) -> Request:
    """Return the call that sends a message; its body still lacks the `uuid`.

    By that the platform knows a repetition, but only who kept it can make one: so the call is not harmless.

    Raises:
        CommandError: BAD_PARAM, naming the parameter.
    """
    params = read_params(given, _Params)
    body = body_of(params, stream=params.stream).encoded
    if (message_id := _answered(params)) is not None:
        return _reply(params, message_id, body)
    if params.thread:
        raise bad("`thread` needs `reply_to`: on Lark a thread grows from a message")
    # A reply names both, for the platforms that need the user; the chat says where.
    user = params.user if params.chat is None else None
    name, target = one_of(chat=params.chat, user=user)
    receiver = target if isinstance(target, str) else target.id
    require(receiver, name)
    return Request(
        "/im/v1/messages",
        {"receive_id_type": id_type(receiver)},
        {"receive_id": receiver, **body},
    )


def id_type(receiver: str) -> str:
    """Return what kind of id this is, in the words of `receive_id_type`."""
    known = _ID_TYPES.get(receiver[:3])
    if known is not None:
        return known
    return "email" if "@" in receiver else "user_id"


def read_params(given: dict[str, Any], model: type[T]) -> T:
    """Return a command's parameters.

    Raises:
        CommandError: BAD_PARAM: an unknown one, or one of another type.
    """
    try:
        return msgspec.convert(given, type=model)
    except msgspec.ValidationError as error:
        raise bad(str(error)) from error


def path_id(value: str, name: str) -> str:
    """Return an id that becomes part of a path; BAD_PARAM if it could be more than an id."""
    require(value, name)
    if not (value.isascii() and value.replace("_", "").replace("-", "").isalnum()):
        raise bad(f"`{name}` is not an id of Lark")
    return value


def _answered(params: _Params) -> str | None:
    """Return the message that is answered, as the parameter or else a segment says."""
    if params.reply_to is not None:
        return params.reply_to
    for at, segment in enumerate(params.segments or ()):
        if segment.type == "reply":
            return field(segment.data, "message_id", place=f"segments[{at}]")
    return None


def _reply(params: _Params, message_id: str, body: dict[str, Any]) -> Request:
    """Answer a message; in its thread where the chat given is one."""
    is_threaded = isinstance(params.chat, _Target) and bool(params.chat.thread_id)
    more = {"reply_in_thread": True} if is_threaded or params.thread else {}
    path = f"/im/v1/messages/{path_id(message_id, 'reply_to')}/reply"
    return Request(path, {}, {**body, **more})
