"""Turns: how many connections a second a platform sees from us, and how many processes start at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class TokenBucket:
    """A rate with a burst; pure, with time as an argument.

    Args:
        rate_per_s: tokens that come back each second.
        burst: the most that are ever there.
    """

    def __init__(self, *, rate_per_s: float, burst: int, now: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._tokens = float(burst)
        self._at = now

    def take(self, now: float) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate_per_s)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate_per_s


class Turn:
    """A place in a queue; `cancel` gives it up."""

    def __init__(self, go: Callable[[], None]) -> None:
        self._go: Callable[[], None] | None = go

    def cancel(self) -> None:
        """Do not go."""
        self._go = None

    def take(self) -> bool:
        """Go; return whether anyone was still waiting here."""
        go, self._go = self._go, None
        if go is None:
            return False
        go()
        return True

    @property
    def is_wanted(self) -> bool:
        """Whether someone still waits here."""
        return self._go is not None


class RateGate:
    """Lets callers go one after the other, as a token bucket permits."""

    def __init__(self, bucket: TokenBucket) -> None:
        self._bucket = bucket
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Turn] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    def ask(self, go: Callable[[], None]) -> Turn:
        """Call `go` when it is this caller's turn: perhaps at once, before this returns."""
        turn = Turn(go)
        if not self._is_closed:
            self._queue.append(turn)
        if self._timer is None:
            self._pump()
        return turn

    def close(self) -> None:
        """Nobody goes any more."""
        self._is_closed = True
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _pump(self) -> None:
        self._timer = None
        while self._queue:
            if not self._queue[0].is_wanted:
                self._queue.popleft()
                continue
            wait_s = self._bucket.take(self._loop.time())
            if wait_s > 0:
                self._timer = self._loop.call_later(wait_s, self._pump)
                return
            self._queue.popleft().take()


class CrowdGate:
    """Lets at most so many callers be inside at a time; each says when it leaves."""

    def __init__(self, limit: int) -> None:
        self._room = limit
        self._queue: deque[Turn] = deque()

    def ask(self, go: Callable[[], None]) -> Turn:
        """Call `go` when there is room: perhaps at once. Whoever went calls `leave` once."""
        turn = Turn(go)
        self._queue.append(turn)
        self._pump()
        return turn

    def leave(self) -> None:
        """One who went is out again."""
        self._room += 1
        self._pump()

    def _pump(self) -> None:
        while self._room > 0 and self._queue:
            self._room -= 1
            if not self._queue.popleft().take():
                self._room += 1
