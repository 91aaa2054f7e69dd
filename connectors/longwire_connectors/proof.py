"""Socket proof: WebSocket pings of our own, and a watch over how long the peer has been silent.

The age of the last proof grows only while this process runs and reads. A process that was stopped, starved or
suspended finds its timers overdue before it has read what waits in its socket; so each look may add only a
small step, however far the clock went on, and a peer that answered in time is never judged for our lateness.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, Protocol

FIRST_PROOF_S = 10.0
"""How long a new connection may be without any proof, as long as the handshake itself may take (websockets'
`open_timeout`); less where the link timeout is less."""
PINGS_PER_TIMEOUT = 3
"""Two pings may get lost before the third decides."""
LOOKS_PER_LIMIT = 20
"""Looks at the clock: enough that a step is small beside the limit, few enough to cost nothing."""
STEPS_PER_LOOK = 2.0
"""How far one look may let the age grow, in planned looks: an ordinary delay counts, a stop does not."""


class RunningAge:
    """Seconds since the last proof, in time during which this process ran. Pure: the time is given.

    Times are of a clock that never goes back. One look lets the age grow by `max_step_s` seconds at most.
    """

    def __init__(self, *, now: float, max_step_s: float) -> None:
        self.age_s = 0.0
        self._seen_at = now
        self._max_step_s = max_step_s

    def look(self, now: float) -> float:
        """Let the age grow and return it."""
        self.age_s += min(max(now - self._seen_at, 0.0), self._max_step_s)
        self._seen_at = now
        return self.age_s

    def skip(self, now: float) -> None:
        """Go on from `now` without growing older."""
        self._seen_at = now

    def renew(self, now: float) -> None:
        """Note a proof."""
        self.age_s = 0.0
        self._seen_at = now


class Pinged(Protocol):
    """The part of a `websockets` connection that is needed here."""

    async def ping(self) -> Awaitable[Any]:
        """Send a ping and return what is done when its pong arrives; raises ConnectionClosed."""
        ...


class SilenceWatch:
    """Watches how long a peer has been silent, fair to a process that was itself stopped. Made in the loop.

    Args:
        limit_s: how long a silence is allowed, in seconds.
        max_look_s: the most between two looks at the clock, where a limit may become shorter meanwhile.
    """

    def __init__(self, *, limit_s: float, max_look_s: float = math.inf) -> None:
        self.limit_s = limit_s
        """How long a silence is allowed now, in seconds."""
        self._max_look_s = max_look_s
        self._loop = asyncio.get_running_loop()
        self._pauses = 0
        self._begin()

    def renew(self, limit_s: float) -> None:
        """Note that the peer spoke; it is to speak again within `limit_s` seconds."""
        if limit_s == self.limit_s:
            self._age.renew(self._loop.time())
        else:
            self.limit_s = limit_s
            self._begin()

    @contextmanager
    def paused(self) -> Generator[None, None, None]:
        """Not age while nothing is read on purpose: an answer cannot be seen behind a full buffer."""
        self._look()
        self._pauses += 1
        try:
            yield
        finally:
            self._pauses -= 1
            self._age.skip(self._loop.time())

    async def silence(self) -> None:
        """Return once the peer has been silent for longer than it may."""
        while (left_s := self.limit_s - self._look()) > 0:  # noqa: ASYNC110  what it waits for is time
            await asyncio.sleep(min(left_s, self._look_s))

    def _begin(self) -> None:
        self._look_s = min(self.limit_s / LOOKS_PER_LIMIT, self._max_look_s)
        self._age = RunningAge(now=self._loop.time(), max_step_s=STEPS_PER_LOOK * self._look_s)

    def _look(self) -> float:
        now = self._loop.time()
        if self._pauses:
            self._age.skip(now)
            return self._age.age_s
        return self._age.look(now)


class SocketProof(SilenceWatch):
    """Watches one connection. Made in the loop, once it is open.

    Args:
        timeout_s: how old the last proof may get, in seconds; a third of it is the time between pings.
        on_pong: called for each pong, before the proof counts.
        first_within_s: how long the first proof may take, in seconds, where that is less.
    """

    def __init__(
        self, *, timeout_s: float, on_pong: Callable[[], None], first_within_s: float = FIRST_PROOF_S
    ) -> None:
        super().__init__(limit_s=min(first_within_s, timeout_s))
        self.has_proof = False
        """Whether the peer has spoken on this connection at all."""
        self._timeout_s = timeout_s
        self._on_pong = on_pong

    def note(self) -> None:
        """Note that the peer spoke."""
        self.has_proof = True
        self.renew(self._timeout_s)

    async def ping(self, socket: Pinged) -> None:
        """Send a ping now and every third of the timeout, for ever.

        Raises:
            Exception: what `socket.ping` raises; ConnectionClosed once the connection is over.
        """
        while True:
            pong = asyncio.ensure_future(await socket.ping())
            pong.add_done_callback(self._ponged)
            await asyncio.sleep(self._timeout_s / PINGS_PER_TIMEOUT)

    def _ponged(self, pong: asyncio.Future[Any]) -> None:
        if pong.cancelled() or pong.exception() is not None:
            return  # the connection was lost before the pong; whoever reads it says so
        self._on_pong()
        self.note()
