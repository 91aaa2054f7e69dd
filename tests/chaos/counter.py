"""A subscriber that reads as fast as it can and says how far it is, as a program that can be stopped.

    python counter.py ENDPOINT NAME REPORT

It reads the events of loopback accounts, which number them: so it knows what is missing.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from pathlib import Path
from statistics import quantiles

import msgspec

from longwire import Client
from longwire_protocol.subscription import IncomingEvent

_CREDIT = 20_000
"""More than a window holds: what it does not read is bounded by the supervisor, not by its own caution."""

_CONNECT_S = 40.0
_REPORT_S = 0.2
_LATENCIES = 2_000


class Report(msgspec.Struct):
    """How far the subscriber is."""

    events: int = 0
    """Numbered events, each counted once."""
    again: int = 0
    """Deliveries of events that it had before."""
    missing: int = 0
    """Events that were left out: a later one of their account came."""
    told: int = 0
    """Of the journal's numbers, those that the supervisor said it will not get (`subscription.gap`)."""
    last_seq: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    """From the child's clock to here, of the newest 2,000 events."""


class Counter:
    """Takes the events and keeps the report."""

    def __init__(self, name: str) -> None:
        self.report = Report()
        self._name = name
        self._numbers: dict[str, int] = {}
        self._told_to = 0
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)

    def take(self, event: IncomingEvent) -> None:
        """Count an event."""
        report = self.report
        if (event.seq or 0) <= report.last_seq:
            report.again += 1
            return
        report.last_seq = event.seq or 0
        self._latencies.append(time.time() - event.recv_time)
        if event.type == "subscription.gap" and (event.raw or {}).get("subscription") == self._name:
            # They come in order, and those for one absence begin at the same number.
            first, last = event.raw["from"], event.raw["to"]
            report.told += max(0, last - max(first - 1, self._told_to))
            self._told_to = max(self._told_to, last)
        elif event.type == "message.created":
            number = int((event.text or "").rstrip("."))
            report.missing += number - self._numbers.get(event.account, 0) - 1
            report.events += 1
            self._numbers[event.account] = number

    def write(self, path: Path) -> None:
        """Put the report where others read it, whole at any moment."""
        if len(self._latencies) > 1:
            steps = quantiles(self._latencies, n=100)
            self.report.p50_ms, self.report.p99_ms = round(steps[49] * 1000, 2), round(steps[98] * 1000, 2)
        draft = path.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(self.report))
        draft.replace(path)


async def main(endpoint: str, name: str, path: Path) -> None:
    """Read until killed."""
    counter = Counter(name)

    async def report() -> None:
        while True:
            counter.write(path)
            await asyncio.sleep(_REPORT_S)

    async with asyncio.TaskGroup() as tasks, Client(endpoint, connect_timeout_s=_CONNECT_S) as client:
        subscription = client.subscribe(name, start="all", credit=_CREDIT)
        await subscription.open()
        tasks.create_task(report(), name="report")
        async for event in subscription:
            counter.take(event)
            await event.ack()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
