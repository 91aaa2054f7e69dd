"""An app's access token: fetched once for all who wait, kept until shortly before its end."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

from longwire_connectors.deadline import call_ends_at
from longwire_connectors.unanswered import unanswered

MARGIN_S = 300.0
"""How long before its end a token is replaced, as in DingTalk's SDK (`stream.py` 228). Lark gives a new one
in the last half hour of the old one, and both are valid."""


class AccessToken:
    """Hands out the token of one app.

    Args:
        fetch: asks the platform for a token and its life in seconds; raises CommandError.
    """

    def __init__(self, fetch: Callable[[], Awaitable[tuple[str, float]]]) -> None:
        self._fetch = fetch
        self._value = ""
        self._ends_at = 0.0
        self._renewing = asyncio.Lock()

    async def get(self, *, refused: str | None = None) -> str:
        """Return a token that has not ended and is not the one that was just refused.

        Raises:
            CommandError: there is none, or not by the deadline of the command that it is for.
        """
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(call_ends_at(now=now, total_s=math.inf)), self._renewing:
                return await self._renewed(refused)
        except TimeoutError as error:
            raise unanswered("no access token came in time", was_sent=False, is_harmless=True) from error

    async def _renewed(self, refused: str | None) -> str:
        now = asyncio.get_running_loop().time()
        if now >= self._ends_at or self._value == refused:
            self._value, life_s = await self._fetch()
            self._ends_at = now + max(life_s - MARGIN_S, life_s / 2)
        return self._value
