"""A host on the platforms' simulator whose loop stands still for as long as a line of its input says."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from hosts import say
from longwire import Supervisor


async def look(supervisor: Supervisor) -> dict[str, Any]:
    status = await supervisor.status()
    keys = ("account", "pid", "state", "restarts", "connection", "incarnation")
    return {each["account"]: {key: each[key] for key in keys} for each in status["accounts"]}


async def main() -> None:
    config = json.loads(sys.argv[1])
    changes: list[Any] = []
    async with Supervisor(config) as supervisor:
        remove = supervisor.on_state(lambda *change: changes.append(change))
        await supervisor.converged(timeout_s=60)
        say(before=await look(supervisor))
        changes.clear()
        while line := await asyncio.to_thread(sys.stdin.readline):
            begun = time.monotonic()
            time.sleep(float(line))  # noqa: ASYNC251  # what a host should not do
            say(blocked_s=time.monotonic() - begun, after=await look(supervisor), changes=changes)
        remove()


asyncio.run(main())
