"""A timer that is set again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Alarm:
    """Goes off once, at the time it was last set to; made on the loop that runs it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def set(self, at: float | None, then: Callable[[], None]) -> None:
        """Call `then` at this time of the loop, and not at any earlier setting's; `None` for never."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if at is None else self._loop.call_at(at, then)
