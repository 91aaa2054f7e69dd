"""Turns: how many connections a second a platform sees from us, and how many processes start at once.

Also how close together one account may ask for something: that is refused or put off, and never queued.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec

_ENOUGH = 1 - 1e-9
"""Of a token: who waits as told must not be told to wait for another rounding error."""


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
        wait_s = self.wait_s(now)
        if not wait_s:
            self._tokens -= 1
        return wait_s

    def wait_s(self, now: float) -> float:
        """Return the seconds until there is a token, and take none."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate_per_s)
        self._at = now
        return 0.0 if self._tokens >= _ENOUGH else (1 - self._tokens) / self._rate_per_s

    def is_full(self, now: float) -> bool:
        """Return whether it remembers nothing any more: a new one would be the same."""
        return not self.wait_s(now) and self._tokens >= self._burst

    def set_pace(self, now: float, *, rate_per_s: float, burst: int) -> None:
        """From now on have another rate and burst; nothing is given for the change itself."""
        self.wait_s(now)
        self._rate_per_s, self._burst = rate_per_s, burst
        self._tokens = min(self._tokens, burst)


class Spacing(msgspec.Struct, frozen=True):
    """So many at once, and after them one each `every_s`; 0 for no limit."""

    burst: int
    every_s: float


class Spacings:
    """Buckets by name. They outlive what they are for, so that neither a restart nor a reload fills one.

    Another spacing for a name changes its bucket's pace, and gives nothing. What is remembered is bounded by
    who spent something in the time that it takes to come back.
    """

    def __init__(self) -> None:
        self._buckets: dict[str, TokenBucket] = {}
        self._room = _BUCKETS

    def take(self, name: str, spacing: Spacing, now: float) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        if not spacing.every_s:
            return 0.0
        if name not in self._buckets:
            self._make_room(now)
            self._buckets[name] = TokenBucket(rate_per_s=1 / spacing.every_s, burst=spacing.burst, now=now)
        return self._bucket(name, spacing, now).take(now)

    def wait_s(self, name: str, spacing: Spacing, now: float) -> float:
        """Return the seconds until there is a token, and take none."""
        is_known = spacing.every_s and name in self._buckets
        return self._bucket(name, spacing, now).wait_s(now) if is_known else 0.0

    def _bucket(self, name: str, spacing: Spacing, now: float) -> TokenBucket:
        bucket = self._buckets[name]
        bucket.set_pace(now, rate_per_s=1 / spacing.every_s, burst=spacing.burst)
        return bucket

    def _make_room(self, now: float) -> None:
        """Forget the full ones, once there are as many again as were left the last time."""
        if len(self._buckets) >= self._room:
            self._buckets = {
                name: bucket for name, bucket in self._buckets.items() if not bucket.is_full(now)
            }
            self._room = max(_BUCKETS, 2 * len(self._buckets))


_BUCKETS = 1_000
"""From so many on, buckets that are full are forgotten before another one is made."""


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


class _Turns:
    """Who waits: each tenant's in order, the tenants by turns, so that none waits for all of another's."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[Turn]] = {}

    def put(self, turn: Turn, tenant: str) -> None:
        self._lines.setdefault(tenant, deque()).append(turn)

    def is_anyone_there(self) -> bool:
        """Forget who gave up; return whether somebody is left."""
        while self._lines:
            tenant, line = next(iter(self._lines.items()))
            if line and line[0].is_wanted:
                return True
            if line:
                line.popleft()
            else:
                del self._lines[tenant]
        return False

    def pop(self) -> Turn:
        """Return the first; only after `is_anyone_there`."""
        tenant, line = next(iter(self._lines.items()))
        del self._lines[tenant]
        turn = line.popleft()
        if line:
            self._lines[tenant] = line
        return turn

    def clear(self) -> None:
        self._lines.clear()


class RateGate:
    """Lets callers go one after the other, as a token bucket permits.

    Args:
        bucket: the pace.
        then: where they go from here.
    """

    def __init__(self, bucket: TokenBucket, *, then: Callable[[Turn], object] = Turn.take) -> None:
        self._bucket = bucket
        self._then = then
        self._loop = asyncio.get_running_loop()
        self._turns = _Turns()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    def enter(self, turn: Turn, tenant: str) -> None:
        """Let it go on when it is its turn: perhaps at once, before this returns."""
        if not self._is_closed:
            self._turns.put(turn, tenant)
        if self._timer is None:
            self._pump()

    def set_pace(self, *, rate_per_s: float, burst: int) -> None:
        """From now on let them go at another pace."""
        self._bucket.set_pace(self._loop.time(), rate_per_s=rate_per_s, burst=burst)
        if self._timer is not None:
            self._timer.cancel()
            self._pump()

    def close(self) -> None:
        """Nobody goes any more."""
        self._is_closed = True
        self._turns.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _pump(self) -> None:
        self._timer = None
        while self._turns.is_anyone_there():
            wait_s = self._bucket.take(self._loop.time())
            if wait_s > 0:
                self._timer = self._loop.call_later(wait_s, self._pump)
                return
            self._then(self._turns.pop())


class ConnectGates:
    """The pace of new connections: a tenant's with a connector, and then all of the connector.

    Args:
        of_connector: makes the bucket of one connector.
        of_tenant: makes the bucket of one tenant's accounts of one connector.
    """

    def __init__(
        self, *, of_connector: Callable[[], TokenBucket], of_tenant: Callable[[], TokenBucket]
    ) -> None:
        self._of_connector = of_connector
        self._of_tenant = of_tenant
        self._connectors: dict[str, RateGate] = {}
        self._tenants: dict[tuple[str, str], RateGate] = {}

    def ask(self, go: Callable[[], None], *, connector: str, tenant: str) -> Turn:
        """Call `go` when it is this caller's turn: perhaps at once, before this returns."""
        turn = Turn(go)
        self._gate(connector, tenant).enter(turn, tenant)
        return turn

    def set_pace(self, connector: str, *, rate_per_s: float, burst: int) -> None:
        """From now on let a connector's accounts go at another pace; who waits already, too."""
        self._common(connector).set_pace(rate_per_s=rate_per_s, burst=burst)

    def close(self) -> None:
        """Nobody goes any more."""
        for gate in (*self._tenants.values(), *self._connectors.values()):
            gate.close()

    def _gate(self, connector: str, tenant: str) -> RateGate:
        common, key = self._common(connector), (connector, tenant)
        if key not in self._tenants:
            self._tenants[key] = RateGate(self._of_tenant(), then=lambda turn: common.enter(turn, tenant))
        return self._tenants[key]

    def _common(self, connector: str) -> RateGate:
        if connector not in self._connectors:
            self._connectors[connector] = RateGate(self._of_connector())
        return self._connectors[connector]


class CrowdGate:
    """Lets at most so many callers be inside at a time; each says when it leaves."""

    def __init__(self, limit: int) -> None:
        self._room = limit
        self._turns = _Turns()

    def ask(self, go: Callable[[], None], *, tenant: str) -> Turn:
        """Call `go` when there is room: perhaps at once. Whoever went calls `leave` once."""
        turn = Turn(go)
        self._turns.put(turn, tenant)
        self._pump()
        return turn

    def leave(self) -> None:
        """One who went is out again."""
        self._room += 1
        self._pump()

    def _pump(self) -> None:
        while self._room > 0 and self._turns.is_anyone_there():
            self._room -= 1
            self._turns.pop().take()
