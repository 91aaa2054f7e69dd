"""Carrying: so many events from a producer through a core to a subscriber, each a process of its own."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import psutil

from bench.stage import PROGRAMS, Bench
from harness.processes import Program
from harness.waiting import until

DEADLINE_S = 600.0
"""For a million events at a tenth of what the slowest carries on two cores."""

_READY = "ready\n"
_MICROSECONDS = 1e6

T = TypeVar("T")


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """What carrying took: CPU in seconds, user and system, of every thread."""

    events: int
    seconds: float
    """From when the first event was made until the subscriber had acked the last."""
    event_bytes: float
    """Mean size of what the subscriber decoded; 0 where it does not see the bytes."""
    core_cpu_s: float
    """Of the supervisor, the broker, or the raw pipeline's one process."""
    producer_cpu_s: float
    subscriber_cpu_s: float

    @property
    def per_s(self) -> float:
        """Events per second."""
        return self.events / self.seconds

    @property
    def core_us(self) -> float:
        """Microseconds of CPU per event, in the core."""
        return self.core_cpu_s / self.events * _MICROSECONDS

    @property
    def producer_us(self) -> float:
        """The same of the producer."""
        return self.producer_cpu_s / self.events * _MICROSECONDS

    @property
    def subscriber_us(self) -> float:
        """The same of the subscriber."""
        return self.subscriber_cpu_s / self.events * _MICROSECONDS

    @property
    def total_us(self) -> float:
        """The same of all three."""
        return self.core_us + self.producer_us + self.subscriber_us


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """One way to carry events."""

    name: str
    promise: str
    """What is safe when, for the notes."""
    carry: Callable[[Bench, int], Awaitable[Carried]]
    missing: Callable[[], str | None] = lambda: None
    """Tells why it cannot run here."""


class SubscriberReport(msgspec.Struct, frozen=True):
    """The last line of a subscriber; times are Unix seconds."""

    events: int
    opened_at: float
    """When it asked for events."""
    first_at: float
    """When it had the first."""
    first_made_at: float
    """When that was made."""
    ended_at: float
    cpu_s: float
    event_bytes: float

    def carried(self, *, core_cpu_s: float, producer_cpu_s: float) -> Carried:
        """Return the whole from what the others took."""
        return Carried(
            events=self.events,
            seconds=self.ended_at - self.first_made_at,
            event_bytes=self.event_bytes,
            core_cpu_s=core_cpu_s,
            producer_cpu_s=producer_cpu_s,
            subscriber_cpu_s=self.cpu_s,
        )


class ProducerReport(msgspec.Struct, frozen=True):
    """The last line of a producer."""

    cpu_s: float


@asynccontextmanager
async def running(command: Sequence[str], *, output: Path) -> AsyncIterator[Program]:
    """Run a program, and end it if it has not ended itself.

    All share our session: the kernel schedules each session as one task (autogroup), and where server,
    producer and subscriber had one each, JetStream exchanged smaller batches and cost 2.3 times the CPU.
    """
    program = await Program.start(command, output=output, has_own_session=False)
    try:
        yield program
    finally:
        if program.returncode is None:
            await program.kill()


@asynccontextmanager
async def script(folder: Path, name: str, *arguments: str | int) -> AsyncIterator[Program]:
    """Run one of our programs."""
    command = [sys.executable, str(PROGRAMS / f"{name}.py"), *map(str, arguments)]
    async with running(command, output=folder / f"{name}-{arguments[0]}.log") as program:
        yield program


async def until_ready(program: Program) -> None:
    """Wait until a program of ours says so."""

    async def ready() -> bool:
        assert program.returncode is None, program.text()
        return _READY in program.text()

    await until(ready, what="a program is ready")


async def report(program: Program, kind: type[T]) -> T:
    """Wait for a program's end and return its last line."""
    code = await program.ended(deadline_s=DEADLINE_S)
    assert code == 0, program.text()
    return msgspec.json.decode(program.text().splitlines()[-1], type=kind)


async def through(
    core: Program, *, folder: Path, program: str, target: str, count: int, more: Sequence[str] = ()
) -> Carried:
    """Let the subscriber and then the producer of one of our programs loose on a core that runs."""
    async with script(folder, program, "subscribe", target, count, *more) as subscriber:
        await until_ready(subscriber)
        return await between(subscriber, script(folder, program, "produce", target, count, *more), core=core)


async def between(
    subscriber: Program, producing: AbstractAsyncContextManager[Program], *, core: Program
) -> Carried:
    """Run a producer for a subscriber that is ready."""
    process = psutil.Process(core.pid)
    before = cpu_s(process)
    async with producing as producer:
        seen = await report(subscriber, SubscriberReport)
        core_cpu_s = cpu_s(process) - before
        made = await report(producer, ProducerReport)
    return seen.carried(core_cpu_s=core_cpu_s, producer_cpu_s=made.cpu_s)


def cpu_s(process: psutil.Process) -> float:
    """Return how many seconds of CPU a living process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)
