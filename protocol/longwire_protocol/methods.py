"""How the supervisor has a command carried out: which are accepted durably, and which may be repeated.

This is Longwire's own decision, the same for every platform. What a platform can do about a repetition is its
connector's (`Declaration.repeat_window_s`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Course(StrEnum):
    """How a command is carried out."""

    ONCE = "once"  # durably, and a second time would be a second effect
    REPEATABLE = "repeatable"  # durably, and a second time changes nothing more
    DIRECT = "direct"  # at once or not at all: it changes nothing, or is worth nothing later


COURSES: Mapping[str, Course] = {
    "message.create": Course.ONCE,
    "message.update": Course.REPEATABLE,
    "message.delete": Course.REPEATABLE,
    "reaction.create": Course.REPEATABLE,
    "reaction.delete": Course.REPEATABLE,
    "card.update": Course.REPEATABLE,
    "message.get": Course.DIRECT,
    "typing.set": Course.DIRECT,
    "card.respond": Course.DIRECT,
    "media.upload": Course.DIRECT,
    "media.download": Course.DIRECT,
}
"""`platform.call`, and what only a plugin knows, is not here: `course` looks at the request."""


def course(method: str, params: Mapping[str, Any], *, has_key: bool) -> Course:
    """Return how a command is carried out.

    Args:
        method: its name.
        params: as the client gave them.
        has_key: whether the client gave an idempotency key.
    """
    if method == "card.update" and _is_passing(params):
        return Course.DIRECT  # the next text says more, and must not stand in line behind this one
    known = COURSES.get(method)
    if known is not None:
        return known
    if has_key:
        return Course.ONCE
    is_read = str(params.get("method", "")).upper() == "GET"
    return Course.ONCE if method == "platform.call" and not is_read else Course.DIRECT


def _is_passing(params: Mapping[str, Any]) -> bool:
    """Return whether this shows a text that goes on growing."""
    match params.get("stream"):
        case {"final": True}:
            return False
        case {**_stream}:
            return True
        case _:
            return False


_PLACES = ("chat", "user", "reply_to", "message_id")


def chat_of(params: Mapping[str, Any]) -> str | None:
    """Return what a command keeps its order with: the chat, or what stands for it; `None` for no order.

    A command that names its chat by another id is another chat's to us.
    """
    for place in _PLACES:
        match params.get(place):
            case str(name) | {"id": str(name)} if name:
                return name if place == "chat" else f"{place}:{name}"
            case _:
                pass
    return None
