"""Streams texts into cards at the platform's pace; see `streaming` for what is left out."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections import OrderedDict
from typing import Any

from longwire_connectors.lark import calls
from longwire_connectors.lark.api import Api, unreadable
from longwire_connectors.lark.calls import Streamed
from longwire_connectors.lark.refusals import OVERTAKEN, STREAM_CLOSED, code_of
from longwire_connectors.lark.streaming import PACE_S, Card
from longwire_connectors.unanswered import half_done
from longwire_protocol.errors import CommandError, RetCode

_MAX_CARDS = 512
"""Cards that are remembered; the one not written for longest is forgotten first. Nothing is lost by it but
one call for its id."""
_MAX_OVERTAKEN = 3
_SHOWN: dict[str, Any] = {"shown": True}
_SKIPPED: dict[str, Any] = {"shown": False}


class _Writing:
    """One card, and whose turn it is to write it."""

    def __init__(self) -> None:
        self.card = Card()
        self.card_id: str | None = None
        self.turn = asyncio.Lock()


class Cards:
    """The cards that this child writes. Used on one loop."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._writing: OrderedDict[str, _Writing] = OrderedDict()

    async def write(self, asked: Streamed, *, key: str | None) -> dict[str, Any]:
        """Show a text, or leave it to a newer one; `{"shown": bool}`.

        Raises:
            CommandError: refused by the platform, or PLATFORM_LIMITED for one that is not the last.
        """
        writing = self._known(asked)
        is_final, card = asked.stream.final, writing.card
        number = card.arrive(is_final=is_final)
        async with writing.turn:
            if not card.is_stale(number, is_final=is_final):
                await asyncio.sleep(card.wait_s(_now()))
            if card.is_stale(number, is_final=is_final):
                return _SKIPPED
            await self._show(writing, asked, key=key or str(uuid.uuid4()))
        return _SHOWN

    async def _show(self, writing: _Writing, asked: Streamed, *, key: str) -> None:
        card_id = await self._card_id(writing, asked)
        card, stream, is_shown = writing.card, asked.stream, False
        for tries in itertools.count(1):
            sequence = card.next_sequence(time.time())
            try:
                await self._api.ask(calls.stream_text(card_id, stream, sequence=sequence, key=key))
                is_shown = True
                if stream.final:
                    await self._end(card_id, card, key=key)
            except CommandError as error:
                wait_s = (error.retry_after_ms or 0) / 1000
                card.shown(_now(), again_after_s=max(PACE_S, wait_s))
                if not _is_worth_another_try(error, is_final=stream.final, tries=tries):
                    raise (half_done(error) if is_shown else error) from error
                await asyncio.sleep(card.wait_s(_now()))  # within the command's deadline
            else:
                card.shown(_now())
                return

    async def _end(self, card_id: str, card: Card, *, key: str) -> None:
        sequence = card.next_sequence(time.time())
        try:
            await self._api.ask(calls.end_stream(card_id, sequence=sequence, key=f"{key}-end"))
        except CommandError as error:
            if code_of(error) != STREAM_CLOSED:  # which it was to be
                raise

    async def _card_id(self, writing: _Writing, asked: Streamed) -> str:
        if writing.card_id is None:
            writing.card_id = asked.card_id or await self._find(asked.message_id or "")
        return writing.card_id

    async def _find(self, message_id: str) -> str:
        answer = await self._api.ask(calls.find_card(message_id))
        match answer:
            case {"data": {"card_id": str(card_id)}} if card_id:
                return card_id
            case _:
                raise unreadable("card_id")

    def _known(self, asked: Streamed) -> _Writing:
        name = asked.card_id or asked.message_id or ""
        writing = self._writing.setdefault(name, _Writing())
        self._writing.move_to_end(name)
        if len(self._writing) > _MAX_CARDS:
            self._forget_one()
        return writing

    def _forget_one(self) -> None:
        """Forget the oldest that nobody writes just now; there are fewer commands than cards."""
        idle = next(name for name, writing in self._writing.items() if not writing.turn.locked())
        del self._writing[idle]


def _is_worth_another_try(error: CommandError, *, is_final: bool, tries: int) -> bool:
    """Return whether to show a text again soon: the last one in any case where the platform is only busy.

    A process that goes on with another's card may be ahead of it by a number or two, in the first moment.
    """
    if error.retcode == RetCode.PLATFORM_LIMITED:
        return is_final
    return code_of(error) == OVERTAKEN and tries <= _MAX_OVERTAKEN


def _now() -> float:
    return asyncio.get_running_loop().time()
