"""What a message says, and how it is sent: the arguments of `Client.send` and `Client.reply`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict


class Sending(TypedDict, total=False):
    """How a command is sent; see `Client.call`."""

    idempotency_key: str | None
    wait_ms: int | None
    deadline_s: float


class Message(Sending, total=False):
    """How it is sent, and what it says, where that is no plain text.

    See `message.create` of `docs/protocol.md`.
    """

    markdown: str
    segments: list[dict[str, Any]]
    card: dict[str, Any]
    """In the platform's own form."""
    stream: dict[str, Any]
    """A card whose text is going to grow."""
    thread: bool
    """With an answer: begin or continue a thread there."""


class Answer(Message, total=False):
    """How it is sent, and what it says."""

    text: str


def parted(message: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a message says, and how it is sent."""
    says = {name: value for name, value in message.items() if name not in Sending.__annotations__}
    return says, {name: value for name, value in message.items() if name not in says}
