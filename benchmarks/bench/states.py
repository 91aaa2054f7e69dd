"""When accounts came into which state, by the supervisor's own `account.status` events."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import msgspec

from bench.stage import Stage
from longwire import Client
from longwire_protocol.subscription import Subscription

_DEADLINE_S = 120.0
_READY, _ONLINE = "connecting", "online"
"""A child is ready when its SDK is loaded and it said so: its account is then `connecting`."""


class Recovery(msgspec.Struct, frozen=True):
    """What became of an account whose child was killed, in milliseconds since the SIGKILL."""

    ready_ms: float
    online_ms: float


class States:
    """Reads the changes of all accounts, in order."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription

    async def until(self, state: str, accounts: Iterable[str]) -> dict[str, dict[str, float]]:
        """Wait until each of these has come into the state.

        Returns:
            When each account came for the first time into which state, in Unix seconds, since the last call.
        """
        seen: dict[str, dict[str, float]] = {name: {} for name in accounts}
        missing = set(seen)
        async with asyncio.timeout(_DEADLINE_S):
            while missing:
                event = await anext(self._subscription)
                await event.ack()
                if event.account in missing:
                    seen[event.account].setdefault(event.raw["state"], event.time)
                    if event.raw["state"] == state:
                        missing.remove(event.account)
        return seen

    async def until_ready(self, accounts: Iterable[str]) -> float:
        """Wait until the children of all these are ready; return when the last one was, in Unix seconds."""
        return max(times[_READY] for times in (await self.until(_READY, accounts)).values())


@asynccontextmanager
async def watching(client: Client, *, from_start: bool = False) -> AsyncIterator[States]:
    """Read changes from now on, or all since the journal began."""
    subscription = client.subscribe(types=["account.status"], start="all" if from_start else "new")
    await subscription.open()
    try:
        yield States(subscription)
    finally:
        await subscription.close()


async def kill_child(stage: Stage, states: States, name: str) -> Recovery:
    """Kill the child of an account that is online, and wait until it is online again."""
    pid = (await stage.longwire.account(name))["pid"]
    killed_at = time.time()
    os.kill(pid, signal.SIGKILL)
    seen = (await states.until(_ONLINE, [name]))[name]
    return Recovery((seen[_READY] - killed_at) * 1000, (seen[_ONLINE] - killed_at) * 1000)
