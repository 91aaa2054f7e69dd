"""A subscriber that stops reading costs the others nothing and the supervisor a bounded amount (E5)."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Protocol

import msgspec
import psutil
import pytest
import zmq

from chaos.counter import Report
from chaos.reader import CountingReader
from harness.longwire import Longwire
from harness.waiting import DEADLINE_S, until
from longwire_protocol.codec import encode
from longwire_protocol.messages import Request

SLEEPER = "sleeper"
MIB = 1024 * 1024

WINDOW_BYTES = 64 * MIB
"""What a subscription holds, and once more the frames that wait for its client (docs/design.md)."""

QUEUE_BYTES = 64 * 256 * 1024
"""ZeroMQ's 64 frames per client."""

BOUND_BYTES = 2 * (2 * WINDOW_BYTES + QUEUE_BYTES)
"""Of two subscribers: on a busy machine the one that reads may be late, too."""


class Flood(msgspec.Struct, frozen=True):
    """What comes while one does not read."""

    events: int
    rate_per_s: int
    size_bytes: int
    """Of an event's body, about."""

    @property
    def awake(self) -> int:
        """How many events come before it stops."""
        return self.events // 5

    @property
    def backlog_bytes(self) -> int:
        """What it has not read in the end."""
        return (self.events - self.awake) * self.size_bytes

    @property
    def deadline_s(self) -> float:
        """For all of it, on a machine that is busy with much else."""
        return 60 + 6 * self.events / self.rate_per_s


SHORT = Flood(events=6_000, rate_per_s=500, size_bytes=64 * 1024)
LONG = Flood(events=250_000, rate_per_s=5_000, size_bytes=2_048)
"""200,000 events of 2 KB that one has not read."""


class Lap(msgspec.Struct, frozen=True):
    """How the other subscriber fared, and what the supervisor held meanwhile."""

    rate_per_s: float
    p50_ms: float
    p99_ms: float
    rss_bytes: int
    """The most."""


class Sleeper(Protocol):
    """Somebody who stops reading."""

    async def stop(self) -> None:
        """Read no more."""

    async def wake(self) -> CountingReader:
        """Read on, and return who does."""


class StoppedProcess(Sleeper):
    """A process that gets a SIGSTOP, and goes on where it was."""

    def __init__(self, longwire: Longwire, stack: AsyncExitStack) -> None:
        self._reader = CountingReader(longwire.endpoint, SLEEPER, longwire.folder)
        self._stack = stack

    async def stop(self) -> None:
        await self._stack.enter_async_context(self._reader)
        await self._reader.until_events(1, deadline_s=DEADLINE_S)
        self._reader.program.send(signal.SIGSTOP)

    async def wake(self) -> CountingReader:
        self._reader.program.send(signal.SIGCONT)
        return self._reader


class UnreadSocket(Sleeper):
    """A client that gives all credit it can and never reads its socket; after it the next one of its name."""

    def __init__(self, longwire: Longwire, stack: AsyncExitStack) -> None:
        self._longwire = longwire
        self._stack = stack
        self._socket = stack.enter_context(stack.enter_context(zmq.Context()).socket(zmq.DEALER))

    async def stop(self) -> None:
        params = {"name": SLEEPER, "start": "all", "credit": 1_000_000}
        self._socket.set(zmq.RCVHWM, 1)
        self._socket.set(zmq.LINGER, 0)
        self._socket.connect(self._longwire.endpoint)
        self._socket.send(encode(Request(id="1", method="events.subscribe", params=params)))

    async def wake(self) -> CountingReader:
        self._socket.close()
        reader = CountingReader(self._longwire.endpoint, SLEEPER, self._longwire.folder)
        return await self._stack.enter_async_context(reader)


SLEEPERS = pytest.mark.parametrize("kind", [StoppedProcess, UnreadSocket])
Kind = Callable[[Longwire, AsyncExitStack], Sleeper]


@SLEEPERS
async def test_e5_one_that_stops_reading_delays_nobody_and_loses_nothing(
    longwire: Longwire, kind: Kind, show: Callable[[str], None]
) -> None:
    """A stopped process and a socket that nobody reads, beside one that reads on.

    Alone: by its code, the handler runs on the connection's own loop: who does not return holds up pings,
    acks and all other events.
    """
    await sleep_through(SHORT, longwire, kind, show)


@SLEEPERS
@pytest.mark.soak
@pytest.mark.timeout(1_200)
async def test_e5_two_hundred_thousand_unread_events_cost_a_window_and_no_more(
    longwire: Longwire, kind: Kind, show: Callable[[str], None]
) -> None:
    """The same for long, with the parent's memory bounded.

    Alone: by its code, the handler runs on the connection's own loop: who does not return holds up pings,
    acks and all other events.
    """
    await sleep_through(LONG, longwire, kind, show)


async def sleep_through(flood: Flood, longwire: Longwire, kind: Kind, show: Callable[[str], None]) -> None:
    """Let one stop reading, compare what the other gets with before, and let the first read on."""
    options = {"rate_per_s": flood.rate_per_s, "count": flood.events, "size_bytes": flood.size_bytes // 2}
    longwire.configure({"flood": {"connector": "loopback", **options}})
    await longwire.start()
    async with AsyncExitStack() as stack:
        other = CountingReader(longwire.endpoint, "other", longwire.folder)
        await stack.enter_async_context(other)
        sleeper = kind(longwire, stack)
        before = await lap(other, flood.awake, longwire, deadline_s=flood.deadline_s)
        await sleeper.stop()
        meanwhile = await lap(other, flood.events, longwire, deadline_s=flood.deadline_s)
        awake = await sleeper.wake()
        in_the_end = await awake.until_events(flood.events, deadline_s=flood.deadline_s)
        grown_mib = (meanwhile.rss_bytes - before.rss_bytes) / MIB
        show(
            f"{kind.__name__}, {flood.backlog_bytes / MIB:.0f} MiB unread: the other got "
            f"{meanwhile.rate_per_s / before.rate_per_s:.2f} of the events/s it had before "
            f"({before.rate_per_s:.0f}), with p50 {meanwhile.p50_ms / before.p50_ms:.2f} and "
            f"p99 {meanwhile.p99_ms / before.p99_ms:.2f} of the latency "
            f"({before.p50_ms:.1f} ms, {before.p99_ms:.1f} ms); the supervisor grew by {grown_mib:.0f} MiB"
        )
        assert grown_mib < BOUND_BYTES / MIB
        assert (in_the_end.missing, other.report().missing) == (0, 0)
    await longwire.stop_and_sweep()


async def lap(other: CountingReader, count: int, longwire: Longwire, *, deadline_s: float) -> Lap:
    """Return how it went until the other subscriber had so many events."""
    supervisor = psutil.Process(longwire.program.pid)
    first, begun, rss_bytes = other.report().events, time.monotonic(), 0

    async def look() -> Report | None:
        nonlocal rss_bytes
        rss_bytes = max(rss_bytes, supervisor.memory_info().rss)
        report = other.report()
        return report if report.events >= count else None

    last = await until(look, what=f"the other subscriber has {count} events", deadline_s=deadline_s)
    rate_per_s = (last.events - first) / (time.monotonic() - begun)
    return Lap(rate_per_s=rate_per_s, p50_ms=last.p50_ms, p99_ms=last.p99_ms, rss_bytes=rss_bytes)
