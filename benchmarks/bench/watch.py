"""What supervisor and courier notice while webhooks are posted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from bench.rows import Row, percentile
from harness.longwire import Longwire

_LOOK_S = 0.02
_LATE = 2.0
"""A heartbeat is missed when the last one is older than so many intervals."""
_INTERVAL_S = 1.0
"""Between heartbeats, as by default."""


class Watch(msgspec.Struct):
    """What was seen of them."""

    round_trips_ms: list[float] = []
    """Of a request that the supervisor answers from memory: its loop's lag, and a little more."""
    courier_lag_p99_ms: list[float] = []
    """As the courier says, of the last half minute."""
    heartbeats_missed: int = 0
    """Looks at which a child's last heartbeat was too old."""

    @asynccontextmanager
    async def looking(self, longwire: Longwire) -> AsyncIterator[None]:
        """Look all the while."""
        async with asyncio.TaskGroup() as tasks:
            looking = tasks.create_task(self._look(longwire), name="watch")
            yield
            looking.cancel()

    async def _look(self, longwire: Longwire) -> None:
        while True:
            begun = time.perf_counter()
            await longwire.client.call("account.list")
            self.round_trips_ms.append((time.perf_counter() - begun) * 1000)
            await asyncio.sleep(_LOOK_S)
            if len(self.round_trips_ms) % 10 == 0:
                await self._look_at_status(longwire)

    async def _look_at_status(self, longwire: Longwire) -> None:
        status = await longwire.status()
        for account in status["accounts"]:
            age_s = account["liveness"]["loop"]["age_s"]
            self.heartbeats_missed += age_s is not None and age_s > _LATE * _INTERVAL_S
        lag_ms = status["courier"]["loop_lag_p99_ms"]
        if lag_ms is not None:
            self.courier_lag_p99_ms.append(lag_ms)

    def rows(self, meanwhile: str, *, note: str, baseline: Watch | None = None) -> list[Row]:
        """Return what was seen, beside what was seen without it.

        Args:
            meanwhile: what happened, as in "while ...".
            note: of each row.
            baseline: of the same run; `None` where there is no such thing.
        """
        return [
            Row(
                name=f"supervisor's request while {meanwhile}, p99",
                value=percentile(self.round_trips_ms, 99),
                unit="ms",
                baseline=None if baseline is None else percentile(baseline.round_trips_ms, 99),
                target="< 100 ms (F5)",
                note=f"{note}; its loop's lag and a little more",
            ),
            Row(
                name=f"courier's loop lag while {meanwhile}, p99",
                value=max(self.courier_lag_p99_ms),
                unit="ms",
                baseline=None if baseline is None else max(baseline.courier_lag_p99_ms),
                target="< 100 ms (F5)",
                note=note,
            ),
            Row(
                name=f"heartbeats missed while {meanwhile}",
                value=self.heartbeats_missed,
                unit="",
                baseline=None if baseline is None else baseline.heartbeats_missed,
                target="0 (F5)",
                note=note,
            ),
        ]
