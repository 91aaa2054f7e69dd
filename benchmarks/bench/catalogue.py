"""Every measure, in the order of the table. `--only` takes these names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from bench.measures import (
    blackout,
    commands,
    durable,
    fleet,
    hang,
    isolation,
    known_keys,
    latency,
    memory,
    orphans,
    outage_log,
    replay,
    restart,
    sending,
    start,
    stop,
    throughput,
    webhook_hanging,
    webhook_neighbours,
    webhooks,
)
from bench.rows import Row
from bench.stage import Bench

Measure = Callable[[Bench], Awaitable[list[Row]]]

MEASURES: dict[str, Measure] = {
    "fleet": fleet.measure,
    "memory": memory.measure,
    "start": start.measure,
    "stop": stop.measure,
    "restart": restart.measure,
    "hang": hang.measure,
    "isolation": isolation.measure,
    "orphans": orphans.measure,
    "commands": commands.measure,
    "sending": sending.measure,
    "latency": latency.measure,
    "throughput": throughput.measure,
    "durable": durable.measure,
    "durable_20m": known_keys.measure,
    "replay": replay.measure,
    "webhooks": webhooks.measure,
    "webhook_neighbours": webhook_neighbours.measure,
    "webhook_hanging": webhook_hanging.measure,
    "blackout": blackout.measure,
    "outage_log": outage_log.measure,
}

BY_NAME = {"blackout", "outage_log"}
"""Measured only when asked for: they wait for minutes, and are no race against anybody."""
