"""Acks of clicks on cards, held until a client says what to show, or the time is over.

The platform waits 3 s for the ack of a click and delivers none again, so this is the one answer its user
sees. A session holds a click when it hands the event over, waits for the answer once the event is on disk,
and says whether it got out. Whoever asks for `card.respond` waits for that, too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec

from longwire_connectors.clickbook import Answer, ClickBook, Fate, read_answer, refusal
from longwire_connectors.senders import Senders
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.event import Event

RESPOND_WITHIN_S = 2.5
"""From a click's arrival, by default: of the platforms' 3 s (Lark's document on callbacks) a sixth is
left for the way."""

MAX_RESPOND_S = 2.8
"""The most that may be chosen."""


class Click:
    """One click whose ack is held. Settle it with `sent` or `failed`, whatever happens.

    Args:
        event: its id.
        book: knows what becomes of it.
        until: when the default is due, on the loop's clock.
    """

    def __init__(self, event: str, book: ClickBook, *, until: float) -> None:
        self.event = event
        self._book = book
        self._until = until
        loop = asyncio.get_running_loop()
        self.wanted: asyncio.Future[dict[str, Any] | None] = loop.create_future()
        """What to show; `None` for the default."""
        self.outcome: asyncio.Future[Fate] = loop.create_future()
        """What was shown."""

    async def answer(self) -> dict[str, Any] | None:
        """Wait for what to show and return it in the platform's form; `None`: the default."""
        left_s = self._until - asyncio.get_running_loop().time()
        if not self.wanted.done():
            await asyncio.wait([self.wanted], timeout=max(left_s, 0.0))
        self.default()
        return self.wanted.result()

    def default(self) -> None:
        """Have the default shown, unless there is an answer."""
        if not self.wanted.done():
            self._book.close(self.event, Fate.DEFAULTED)
            self.wanted.set_result(None)

    def sent(self) -> None:
        """Say that an ack with what `answer` returned is on its way, unless it failed before."""
        if not self.outcome.done():
            self.outcome.set_result(Fate.DEFAULTED if self.wanted.result() is None else Fate.ANSWERED)

    def failed(self) -> None:
        """Say that there is no ack and will be none; nothing happens where there was one."""
        if not self.outcome.done():
            self._book.close(self.event, Fate.FAILED)
            self.outcome.set_result(Fate.FAILED)


class Clicks:
    """The clicks of a child.

    Args:
        senders: whose clicks go to the journal; nobody else's can be answered.
    """

    def __init__(self, senders: Senders) -> None:
        self._senders = senders
        self._book = ClickBook()
        self._held: dict[str, Click] = {}

    def hold(self, event: Event, *, until: float) -> Click | None:
        """Take a click before it is handed over; it tells its readers until when it may be answered.

        Args:
            event: the click; gets its `respond_by`.
            until: when the default is due, on the loop's clock.

        Returns:
            `None` for a sender who may not talk: nobody will hear of it, so it is acknowledged plainly.
        """
        if not self._senders.may_talk(event.sender):
            return None
        now = asyncio.get_running_loop().time()
        click = Click(event.id, self._book, until=until)
        if self._book.hold(event.id, until=until, now=now):
            event.respond_by = time.time() + until - now
            self._held[event.id] = click
            click.outcome.add_done_callback(lambda _: self._held.pop(click.event))
        else:
            click.default()
        return click

    async def respond(
        self, params: dict[str, Any], *, form: Callable[[Answer], dict[str, Any]]
    ) -> dict[str, Any]:
        """Do `card.respond`: return once the answer is on its way to the platform.

        Args:
            params: as the client gave them.
            form: makes the platform's form of an answer.

        Raises:
            CommandError: it will not be shown.
        """
        given = read_answer(params)
        shown = _plain(form(given))
        self._book.answer(given.event, now=asyncio.get_running_loop().time())
        click = self._held[given.event]
        click.wanted.set_result(shown)
        fate = await asyncio.shield(click.outcome)
        if fate is not Fate.ANSWERED:
            raise refusal(fate)
        return {}

    def release(self) -> None:
        """Have the default shown for every click that is held: the link is about to be closed."""
        for click in self._held.values():
            click.default()

    async def settled(self) -> None:
        """Wait until no ack is held."""
        while self._held:
            await asyncio.wait([click.outcome for click in self._held.values()])


def _plain(shown: dict[str, Any]) -> dict[str, Any]:
    """Return it as JSON has it. Raises CommandError for what JSON has no form for."""
    try:
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(shown))
    except (TypeError, ValueError, RecursionError) as exc:
        raise CommandError(RetCode.BAD_PARAM, f"card.respond: it has no form in JSON: {exc}") from exc
    return plain
