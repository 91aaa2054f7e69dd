"""What Lark shows to who clicked on a card: the form of an answer, and of an ack that carries it. Pure.

`{"toast": {"type", "content"}, "card": {"type", "data"}}`, as base64 in the ack's `data`
(`event/callback/model/p2_card_action_trigger.py`, `docs/platforms.md` 1.3 and 1.5).
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec

from longwire_connectors.clickbook import Answer, Toast
from longwire_protocol.errors import CommandError, RetCode

TOAST_TYPES = ("info", "success", "warning", "error")


def shown(answer: Answer) -> dict[str, Any]:
    """Return Lark's form of an answer.

    A card may be given as Lark wants it here, `{"type": "raw" or "template", "data"}`, or as it is sent.

    Raises:
        CommandError: `BAD_PARAM` for a toast of a type that Lark has not.
    """
    form = dict(answer.data or {})
    if answer.toast is not None:
        form["toast"] = _toast(answer.toast)
    if answer.card is not None:
        form["card"] = _card(answer.card)
    return form


def default(toast: str) -> dict[str, Any]:
    """Return what is shown when nobody answers: this toast, or nothing where it is empty."""
    return {"toast": {"type": "info", "content": toast}} if toast else {}


def with_answer(ack: bytes, answer: dict[str, Any]) -> bytes:
    """Return an ack's payload with this answer in place of its own."""
    fields: dict[str, Any] = msgspec.json.decode(ack)
    return msgspec.json.encode({**fields, "data": b64encode(msgspec.json.encode(answer)).decode()})


def _toast(toast: Toast) -> dict[str, Any]:
    if toast.type not in TOAST_TYPES:
        raise CommandError(RetCode.BAD_PARAM, f"toast.type: one of {', '.join(TOAST_TYPES)}")
    form: dict[str, Any] = {"type": toast.type, "content": toast.content}
    return form if toast.i18n is None else {**form, "i18n": toast.i18n}


def _card(card: dict[str, Any]) -> dict[str, Any]:
    return card if card.keys() == {"type", "data"} else {"type": "raw", "data": card}
