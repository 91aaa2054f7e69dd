"""The commands on what was sent before, and `platform.call`, as Lark's REST calls. Pure.

Documents: im-v1/message (update, patch, delete, get), im-v1/message-reaction, cardkit-v1.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from longwire_connectors.lark.bodies import STREAM_ELEMENT, Said, bad, body_of, one_of, require
from longwire_connectors.lark.outgoing import Request, path_id, read_params
from longwire_protocol.errors import CommandError, RetCode

PAGE_SIZE = 50
"""Reactions asked for at once, the most that Lark gives."""
_EDITABLE = ("text", "post")
_PATH = re.compile(r"(?:/?open-apis)?(?P<path>(?:/[A-Za-z0-9_~:@=+,-][A-Za-z0-9_.~:@=+,-]*)+)", re.ASCII)
"""Segments without `..`, an empty one, a query, or an escape: nothing that could leave `/open-apis`."""
_TOKEN_PATH = "/auth/"  # noqa: S105  a path

Given = dict[str, Any]


class _Common(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    account: Any = None
    tenant: Any = None
    """These two say whose it is, and were used on the way here."""


class _OfMessage(_Common, forbid_unknown_fields=True, kw_only=True):
    message_id: str


class _Update(Said, forbid_unknown_fields=True, kw_only=True):
    message_id: str
    account: Any = None
    tenant: Any = None


class _Reaction(_OfMessage, forbid_unknown_fields=True, kw_only=True):
    emoji: str


class _Unreaction(_OfMessage, forbid_unknown_fields=True, kw_only=True):
    emoji: str | None = None
    reaction_id: str | None = None


class Stream(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The whole text so far."""

    text: str
    element_id: str = STREAM_ELEMENT
    final: bool = False


class _Card(_Common, forbid_unknown_fields=True, kw_only=True):
    message_id: str | None = None
    card_id: str | None = None
    card: dict[str, Any] | None = None
    stream: Stream | None = None


class Streamed(msgspec.Struct, frozen=True):
    """A text for a card, which is named by one of the two."""

    stream: Stream
    message_id: str | None
    card_id: str | None


class _Platform(_Common, forbid_unknown_fields=True, kw_only=True):
    path: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    query: dict[str, str | int | bool] = {}
    body: dict[str, Any] | None = None


def update(given: Given) -> Request:
    """Return the call for `message.update`: texts and posts are replaced, cards are patched.

    Raises:
        CommandError: BAD_PARAM; UNSUPPORTED for what Lark cannot edit. Likewise the others below.
    """
    params = read_params(given, _Update)
    body = body_of(params)
    path = f"/im/v1/messages/{path_id(params.message_id, 'message_id')}"
    if body.kind == "interactive":
        return Request(path, body={"content": body.encoded["content"]}, method="PATCH")
    if body.kind not in _EDITABLE:
        raise CommandError(RetCode.UNSUPPORTED, "Lark edits texts, posts and cards; send the file anew")
    return Request(path, body=dict(body.encoded), method="PUT")


def delete(given: Given) -> Request:
    """Return the call for `message.delete`."""
    return Request(_message(given), method="DELETE")


def get(given: Given) -> Request:
    """Return the call for `message.get`."""
    return Request(_message(given), method="GET", is_harmless=True)


def add_reaction(given: Given) -> Request:
    """Return the call for `reaction.create`. One app has each emoji once on a message."""
    params = read_params(given, _Reaction)
    require(params.emoji, "emoji")
    body = {"reaction_type": {"emoji_type": params.emoji}}
    return Request(_reactions(params.message_id), body=body)


def read_unreaction(given: Given) -> tuple[str, str | None, str | None]:
    """Return message id, emoji and reaction id of `reaction.delete`; one of the latter two is given."""
    params = read_params(given, _Unreaction)
    one_of(emoji=params.emoji, reaction_id=params.reaction_id)
    return params.message_id, params.emoji, params.reaction_id


def list_reactions(message_id: str, *, emoji: str, page_token: str | None) -> Request:
    """Return the call for a page of who reacted with an emoji."""
    query = {"reaction_type": emoji, "page_size": str(PAGE_SIZE)}
    if page_token is not None:
        query["page_token"] = page_token
    return Request(_reactions(message_id), query, method="GET", is_harmless=True)


def remove_reaction(message_id: str, reaction_id: str) -> Request:
    """Return the call that takes a reaction back."""
    path = f"{_reactions(message_id)}/{path_id(reaction_id, 'reaction_id')}"
    return Request(path, method="DELETE")


def update_card(given: Given) -> Request | Streamed:
    """Return the call for `card.update`, or the text to stream."""
    params = read_params(given, _Card)
    name, _ = one_of(card=params.card, stream=params.stream)
    if name == "card":
        if params.message_id is None or params.card_id is not None:
            raise bad("`message_id` names the card to replace")
        return update({"message_id": params.message_id, "card": params.card})
    one_of(message_id=params.message_id, card_id=params.card_id)
    return Streamed(params.stream or Stream(text=""), params.message_id, params.card_id)


def find_card(message_id: str) -> Request:
    """Return the call for the card that a message shows."""
    body = {"message_id": path_id(message_id, "message_id")}
    return Request("/cardkit/v1/cards/id_convert", body=body, is_harmless=True)


def stream_text(card_id: str, stream: Stream, *, sequence: int, key: str) -> Request:
    """Return the call that shows a text; the platform types what is new at its end."""
    element = path_id(stream.element_id, "element_id")
    return Request(
        f"/cardkit/v1/cards/{path_id(card_id, 'card_id')}/elements/{element}/content",
        body={"content": stream.text, "sequence": sequence, "uuid": key},
        method="PUT",
    )


def end_stream(card_id: str, *, sequence: int, key: str) -> Request:
    """Return the call after which the card does not say any more that it is being written."""
    settings = msgspec.json.encode({"config": {"streaming_mode": False}}).decode()
    return Request(
        f"/cardkit/v1/cards/{path_id(card_id, 'card_id')}/settings",
        body={"settings": settings, "sequence": sequence, "uuid": key},
        method="PATCH",
    )


def platform(given: Given) -> Request:
    """Return the call for `platform.call`.

    The path is checked so that it stays on the platform and below `/open-apis`; tokens are not given out.
    """
    params = read_params(given, _Platform)
    found = _PATH.fullmatch(params.path)
    if found is None or found["path"].startswith(_TOKEN_PATH):
        raise bad("`path` must be a path below /open-apis, as /im/v1/chats, and not one of /auth")
    query = {name: _query_value(value) for name, value in params.query.items()}
    return Request(
        found["path"], query, params.body, method=params.method, is_harmless=params.method == "GET"
    )


def _query_value(value: str | int | bool) -> str:  # noqa: FBT001  as the caller wrote it
    return str(value).lower() if isinstance(value, bool) else str(value)


def _message(given: Given) -> str:
    return f"/im/v1/messages/{path_id(read_params(given, _OfMessage).message_id, 'message_id')}"


def _reactions(message_id: str) -> str:
    return f"/im/v1/messages/{path_id(message_id, 'message_id')}/reactions"
