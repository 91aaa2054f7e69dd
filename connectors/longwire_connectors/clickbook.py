"""Clicks on cards whose acks are held: which still want an answer, and what became of the others. Pure.

Moments are seconds of any clock that only grows. The platform shows its user whatever the ack of a click
carries, once; so there is one answer to a click, the first, and after the deadline it is the default.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum
from typing import Any

import msgspec

from longwire_protocol.errors import CommandError, RetCode

RESPOND = "card.respond"
"""The command that answers a click."""

MAX_HELD = 256
"""Clicks whose acks are held at once: 100 a second for as long as one may be held. Beyond it the default is
shown at once, so that a crowd, or a program that answers nothing, costs no memory."""

MAX_REMEMBERED = 1024
"""Clicks that are over of which it is known how; an answer to an older one meets an unknown event."""


class Fate(Enum):
    """What becomes of a click."""

    OPEN = "open"  # it may be answered
    ANSWERED = "answered"  # a client's answer is shown
    DEFAULTED = "defaulted"  # the default is shown, as nobody answered in time or too many were held
    FAILED = "failed"  # the platform got no ack and showed its user a failure


class Toast(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A short notice that the platform shows to who clicked."""

    content: str
    type: str = "info"
    i18n: dict[str, str] | None = None
    """The content in other languages, where the platform has that."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The params of `card.respond`."""

    event: str
    """Id of the `card.action` event."""
    toast: Toast | None = None
    card: dict[str, Any] | None = None
    """The card's new content, in the platform's form."""
    data: dict[str, Any] | None = None
    """Anything else, as the platform wants it; `toast` and `card` go before what it says of the same."""


def read_answer(params: dict[str, Any]) -> Answer:
    """Return what a client wants to be shown.

    Raises:
        CommandError: `BAD_PARAM`, with the place.
    """
    try:
        return msgspec.convert(params, Answer)
    except msgspec.ValidationError as exc:
        raise CommandError(RetCode.BAD_PARAM, f"card.respond: {exc}") from exc


class ClickBook:
    """Every click that is held, and the last of those that were."""

    def __init__(self) -> None:
        self._open: dict[str, float] = {}
        """Until when each may be answered."""
        self._over: OrderedDict[str, Fate] = OrderedDict()

    @property
    def is_empty(self) -> bool:
        """Whether none is open."""
        return not self._open

    def hold(self, event: str, *, until: float, now: float) -> bool:
        """Note a click; return whether it may be answered, else it is defaulted at once."""
        if until <= now or len(self._open) >= MAX_HELD:
            self._remember(event, Fate.DEFAULTED)
            return False
        self._open[event] = until
        return True

    def answer(self, event: str, *, now: float) -> None:
        """Take this answer as the one.

        Raises:
            CommandError: it is not the first, or too late, or of a click that nobody holds.
        """
        until = self._open.get(event)
        if until is None:
            raise refusal(self._over.get(event))
        if until <= now:
            raise refusal(self.close(event, Fate.DEFAULTED))
        self.close(event, Fate.ANSWERED)

    def close(self, event: str, fate: Fate) -> Fate:
        """Settle an open click, and one that was answered if its answer fails; return how it ended."""
        if self._open.pop(event, None) is not None or fate is Fate.FAILED:
            self._remember(event, fate)
        return self._over.get(event, fate)

    def _remember(self, event: str, fate: Fate) -> None:
        self._over[event] = fate
        while len(self._over) > MAX_REMEMBERED:
            self._over.popitem(last=False)


def refusal(fate: Fate | None) -> CommandError:
    """Return what an answer gets that nobody will see; `None` for a click that is not known."""
    match fate:
        case Fate.DEFAULTED:
            return CommandError(RetCode.DEADLINE_EXCEEDED, "too late; the default was shown")
        case Fate.ANSWERED:
            return CommandError(RetCode.BAD_REQUEST, "the click was answered before; the first answer wins")
        case Fate.FAILED:
            text = "the click can be answered no more; its user was shown a failure"
            return CommandError(RetCode.PLATFORM_UNREACHABLE, text)
        case _:
            text = (
                "event: not a click that the account's process holds for an answer, or held of late; "
                "one that stops shows the default, and the next process knows nothing of it"
            )
            return CommandError(RetCode.BAD_PARAM, text)
