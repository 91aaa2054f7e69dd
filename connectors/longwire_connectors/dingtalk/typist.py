"""Shows growing texts in cards, at the platform's pace; see `streaming` for the rules."""

from __future__ import annotations

import asyncio
import uuid

from longwire_connectors.dingtalk import cards
from longwire_connectors.dingtalk.cards import Streamed
from longwire_connectors.dingtalk.openapi import OpenApi
from longwire_connectors.dingtalk.recent import Recent
from longwire_connectors.dingtalk.streaming import LIMITED_S, PACE_S, Card
from longwire_connectors.unanswered import half_done
from longwire_protocol.errors import CommandError, RetCode


class Typist:
    """All growing texts of one account. Used on one loop."""

    def __init__(self, api: OpenApi) -> None:
        self._api = api
        self._cards: Recent[Card] = Recent()
        self._changed = asyncio.Condition()

    async def show(self, streamed: Streamed) -> bool:
        """Show a text when it is its turn; return whether it was, or a newer one took its place.

        Raises:
            CommandError: refused; a limit of the rate is waited for, within the command's deadline.
        """
        is_final = streamed.stream.final
        card = self._cards.get(streamed.card) or Card()
        self._cards.put(streamed.card, card)
        number = card.arrive(is_final=is_final)
        await self._tell()
        is_shown = False
        while await self._has_turn(card, number, is_final=is_final):
            try:
                await self._api.call(cards.stream_text(streamed, guid=uuid.uuid4().hex))
                is_shown = True
                await self._finish(streamed)
            except CommandError as error:
                if error.retcode != RetCode.PLATFORM_LIMITED:
                    raise (half_done(error) if is_shown else error) from error
                card.next_at = _now() + max(LIMITED_S, (error.retry_after_ms or 0) / 1000)
            else:
                return True
            finally:
                card.is_busy = False
                await self._tell()
        return False

    async def _has_turn(self, card: Card, number: int, *, is_final: bool) -> bool:
        """Wait until this text may be shown, and take the turn; `False` where it need not be shown."""
        while not card.is_stale(number, is_final=is_final):
            wait_s = card.wait_s(_now())
            if wait_s == 0.0:
                card.is_busy, card.next_at = True, _now() + PACE_S
                return True
            async with self._changed:
                try:
                    async with asyncio.timeout(wait_s):
                        await self._changed.wait()
                except TimeoutError:
                    continue
        return False

    async def _finish(self, streamed: Streamed) -> None:
        request = cards.finish(streamed)
        if request is not None:
            await self._api.call(request)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _now() -> float:
    return asyncio.get_running_loop().time()
