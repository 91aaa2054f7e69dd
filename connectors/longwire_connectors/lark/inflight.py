"""Frames under way: one task each, started in the order in which the frames came."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

MAX_UNDER_WAY = 32
"""Frames that may wait for the journal. With commits of 4 ms this carries 8,000 events a second;
each costs 18 KB while it waits, and what a child once needed it keeps."""

_log = logging.getLogger(__name__)


class Inflight:
    """A bounded set of tasks that end by themselves, and their common end."""

    def __init__(self, *, name: str, limit: int = MAX_UNDER_WAY) -> None:
        self._name = name
        self._limit = limit
        self._tasks: set[asyncio.Task[None]] = set()
        self._has_room = asyncio.Event()
        self._has_room.set()

    async def room(self) -> None:
        """Wait until another task may be started."""
        await self._has_room.wait()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a task. The loop takes the first step of each in the order of these calls."""
        task = asyncio.create_task(work, name=self._name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        if len(self._tasks) >= self._limit:
            self._has_room.clear()

    async def finish(self, *, grace_s: float) -> None:
        """Let the tasks end by themselves for `grace_s` seconds, then cancel the rest; none is left."""
        try:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=grace_s)
        finally:
            left = list(self._tasks)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._has_room.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("frame_handling_failed", exc_info=error)
