"""Waiting for a thing to be true, with a deadline that names it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE_S = 40.0
"""Generous: two noisy cores; every wait ends as soon as it can."""

_LOOK_S = 0.02


async def until(
    look: Callable[[], Awaitable[T | None]],
    *,
    what: str = "what is waited for",
    deadline_s: float = DEADLINE_S,
    every_s: float = _LOOK_S,
) -> T:
    """Return the first true thing that `look` returns; look so often."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    while True:
        seen = await look()
        if seen:
            return seen
        assert loop.time() < end, f"not within {deadline_s:g} s: {what}; last seen: {seen!r}"
        await asyncio.sleep(every_s)


async def stays(look: Callable[[], Awaitable[bool]], *, what: str, for_s: float) -> None:
    """Assert that a thing is true, and stays so for a while: how «nothing happens afterwards» is seen."""
    loop = asyncio.get_running_loop()
    end = loop.time() + for_s
    while loop.time() < end:
        assert await look(), f"no longer: {what}"
        await asyncio.sleep(_LOOK_S)
