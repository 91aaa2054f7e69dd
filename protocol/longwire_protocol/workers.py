"""Tasks that do one piece of work after another.

A task for each piece costs a child a tenth of all that a command costs it, and the supervisor as much: it is
made, named, has callbacks, and takes the loop another turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

Work = Coroutine[Any, Any, None]


class Workers:
    """As many as there is work at once. What they do sees to its own errors and deadlines.

    Args:
        tasks: owns them.
        name: of their tasks.
        most_idle: kept for what comes next; each takes some kilobytes.
    """

    def __init__(self, tasks: asyncio.TaskGroup, *, name: str, most_idle: int) -> None:
        self._group = tasks
        self._name = name
        self._most_idle = most_idle
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[Work]] = []
        self._given: set[Work] = set()
        """What was given to one of them that has not begun it yet."""
        self._busy = 0
        self.is_over = False
        """Whether they were ended: nothing can be done any more."""
        self._rested = asyncio.Event()
        self._rested.set()

    @property
    def is_busy(self) -> bool:
        """Whether there is work under way."""
        return self._busy > 0

    def run(self, work: Work) -> None:
        """Have it done, beginning with the loop's next turn. Raises RuntimeError when they were ended."""
        if self.is_over:
            work.close()
            raise RuntimeError("the workers were ended")
        self._busy += 1
        self._rested.clear()
        self._given.add(work)
        given = self._idle.pop() if self._idle else self._new()
        given.set_result(work)

    async def rest(self) -> None:
        """Return when there is none under way."""
        while self._busy:  # there may be more by the time that we are woken
            await self._rested.wait()

    def cancel(self) -> None:
        """End all of them, and what is under way, for good."""
        self.is_over = True
        self._idle.clear()
        for work in self._given:
            work.close()
            self._done()
        self._given.clear()
        for task in self._tasks:
            task.cancel()

    def _new(self) -> asyncio.Future[Work]:
        given: asyncio.Future[Work] = self._loop.create_future()
        task = self._group.create_task(self._live(given), name=self._name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return given

    async def _live(self, given: asyncio.Future[Work]) -> None:
        while True:
            work = await given
            self._given.discard(work)
            try:
                await work
            finally:
                self._done()
            if self.is_over or len(self._idle) >= self._most_idle:
                return
            given = self._loop.create_future()
            self._idle.append(given)

    def _done(self) -> None:
        self._busy -= 1
        if not self._busy:
            self._rested.set()
