"""What the body of a target's answer asks for: a reply in the chat, or commands. Pure.

::

    {"reply": "text"}
    {"reply": {"text": ..., "segments": ..., "card": ...}}       one of them
    {"commands": [{"method": "reaction.create", "params": {...}, "account": "acme-lark"}, ...]}

Only of a 2xx in JSON to a post with one event: the answer to a batch asks for nothing, as its events would
come again one by one, and the commands with other keys. Any other JSON asks for nothing. All or nothing: one
mistake and none is sent. The keys make them have one effect however often the event is posted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from longwire.courier.http import Answer
from longwire.courier.target import Target
from longwire_protocol.event import Event, answer_to

MAX_COMMANDS: Final = 10
"""Of an answer: a reply in a few parts and a reaction."""
METHODS: Final = frozenset(
    {
        "message.create",
        "message.update",
        "message.delete",
        "reaction.create",
        "reaction.delete",
        "card.update",
        "card.respond",
    }
)
"""What a target may ask for. `platform.call` is not there: who answers over HTTP has proven to have the URL's
host, and no more."""

_CONTENTS: Final = frozenset({"text", "segments", "card"})


class Wanted(msgspec.Struct, frozen=True):
    """A command that the target asks for; to be sent with the target's tenant, which bounds its reach."""

    method: str
    account: str
    params: Mapping[str, Any]
    key: str
    """Idempotency key: the same at each delivery of the event."""


class Unusable(ValueError):
    """An answer that asks for something in a way that cannot be done; the text says where and why."""


class _Command(msgspec.Struct, frozen=True):
    method: str
    params: dict[str, Any] = {}
    account: str | None = None


class _Asked(msgspec.Struct, frozen=True):
    reply: str | dict[str, Any] | None = None
    commands: list[_Command] = []


_decode = msgspec.json.Decoder(_Asked).decode


def wanted(answer: Answer, event: Event, target: Target) -> tuple[Wanted, ...]:
    """Return the commands that an answer asks for, in order: the reply first.

    Args:
        answer: a 2xx.
        event: the only one of the post.
        target: whose answer it is.

    Raises:
        Unusable: it asks for what cannot be; nothing is to be sent.
    """
    if not answer.body or not _is_json(answer.headers.get("content-type", "")):
        return ()
    if answer.body.lstrip()[:1] != b"{":  # an array, a word: JSON that means nothing here
        return ()
    try:
        asked = _decode(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unusable(f"the answer is not as documented: {error}") from error
    commands = [] if asked.reply is None else [_reply(asked.reply, event)]
    commands += [_checked(command, event, target) for command in asked.commands]
    if len(commands) > MAX_COMMANDS:
        raise Unusable(
            f"an answer may ask for {MAX_COMMANDS} commands, and this one asks for {len(commands)}"
        )
    return tuple(
        Wanted(method, account, params, f"webhook:{target.name}/{event.id}/{index}")
        for index, (method, account, params) in enumerate(commands)
    )


_Parts = tuple[str, str, dict[str, Any]]


def _reply(reply: str | dict[str, Any], event: Event) -> _Parts:
    content = {"text": reply} if isinstance(reply, str) else reply
    if len(content) != 1 or not content.keys() <= _CONTENTS:
        raise Unusable(f"reply must be a text, or have one of {', '.join(sorted(_CONTENTS))}")
    where = answer_to(event)
    if not where:
        raise Unusable(f"reply: nobody can be answered for {event.type}")
    return "message.create", event.account, {**where, **content}


def _checked(command: _Command, event: Event, target: Target) -> _Parts:
    if command.method not in METHODS:
        raise Unusable(f"commands: {command.method[:64]!r} is none of {', '.join(sorted(METHODS))}")
    account = event.account if command.account is None else command.account
    if target.accounts is not None and account not in target.accounts:
        raise Unusable(f"commands: {account[:64]!r} is no account of the target")
    return command.method, account, command.params


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")
