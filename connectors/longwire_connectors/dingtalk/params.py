"""What the parameters of commands share: how they are read, and how they say where. Pure."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from longwire_protocol.errors import CommandError, RetCode

T = TypeVar("T")
Json = dict[str, Any]

CONVERSATION_PREFIX = "cid"
"""How ids of conversations begin, of groups and private chats alike; staff ids do not."""


class Chat(msgspec.Struct, frozen=True):
    """The `chat` map of an event; its other fields are ignored."""

    id: str
    type: str | None = None


class Common(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The parameters of every command that only say whose it is, and were used on the way here."""

    account: Any = None
    tenant: Any = None


class Placed(Common, forbid_unknown_fields=True, kw_only=True):
    """The parameters that say where a message goes, or is."""

    chat: str | Chat | None = None
    user: str | None = None


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a message goes, or is, as far as the caller says it."""

    chat: str | None = None
    is_private: bool | None = None
    """`None` if only the chat's id was given."""
    user: str | None = None


class ToPerson(msgspec.Struct, frozen=True):
    """A private chat with the robot."""

    staff_id: str


class ToGroup(msgspec.Struct, frozen=True):
    """A group."""

    conversation: str


Target = ToPerson | ToGroup


def read(given: Json, model: type[T]) -> T:
    """Return a command's parameters.

    Raises:
        CommandError: `BAD_PARAM`: an unknown one, or one of another type.
    """
    try:
        return msgspec.convert(given, type=model)
    except msgspec.ValidationError as error:
        raise bad(str(error)) from error


def place_of(params: Placed) -> Place:
    """Return the place that is named.

    Raises:
        CommandError: `BAD_PARAM`: an id is empty.
    """
    chat = (
        params.chat
        if isinstance(params.chat, Chat)
        else Chat(params.chat)
        if params.chat is not None
        else None
    )
    for name, value in (("chat", chat.id if chat else None), ("user", params.user)):
        if value == "":
            raise bad(f"`{name}` must be an id")
    kind = chat.type if chat else None
    return Place(
        chat=chat.id if chat else None,
        is_private=None if kind is None else kind == "private",
        user=params.user,
    )


def target_of(place: Place, *, partner: str | None) -> Target:
    """Return where OpenAPI is to go.

    Args:
        place: what is asked for.
        partner: whom the chat is with, if it is known to be a private one.

    Raises:
        CommandError: `BAD_PARAM`: no place at all, or a private chat whose partner is not known.
    """
    chat = place.chat
    if chat is None:
        if place.user is None:
            raise bad("`chat` or `user` must say where")
        return ToPerson(place.user)
    if place.is_private is None and partner is None:
        return ToGroup(chat) if chat.startswith(CONVERSATION_PREFIX) else ToPerson(chat)
    if place.is_private is False:
        return ToGroup(chat)
    staff_id = place.user or partner
    if staff_id is None and chat.startswith(CONVERSATION_PREFIX):
        raise bad("`user` must be given: nobody wrote in this private chat since the connector started")
    return ToPerson(staff_id or chat)


def one_of(**choices: Any) -> tuple[str, Any]:
    """Return name and value of the only one that is given.

    Raises:
        CommandError: `BAD_PARAM`: none is, or several are.
    """
    given = [(name, value) for name, value in choices.items() if value is not None]
    if len(given) != 1:
        raise bad(f"give exactly one of {', '.join(f'`{name}`' for name in choices)}")
    return given[0]


def require(value: str, name: str) -> str:
    """Return a text that is more than blanks; `BAD_PARAM` else."""
    if not value.strip():
        raise bad(f"`{name}` must hold some text")
    return value


def bad(message: str) -> CommandError:
    """Return the refusal of a parameter."""
    return CommandError(RetCode.BAD_PARAM, message)
