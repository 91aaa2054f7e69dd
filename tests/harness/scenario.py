"""What several scenarios do alike, on either platform."""

from __future__ import annotations

import time
from typing import Literal

from harness.longwire import Longwire
from harness.processes import is_alive
from harness.simulator import Simulator
from harness.waiting import stays, until
from longwire_protocol.subscription import IncomingEvent

SLACK_S = 1.5
"""What a noisy machine may add to a limit."""

_QUIET_S = 1.5


async def stop_and_look(
    simulator: Simulator, longwire: Longwire, *, platform: Literal["lark", "dingtalk"], app: str
) -> float:
    """Stop the account «bot»; assert that nothing of it is left or comes back; return how long it took."""
    pid = (await longwire.account("bot"))["pid"]
    begun = time.monotonic()
    await longwire.client.call("account.stop", account="bot")
    await longwire.until_state("bot", "stopped")
    took = time.monotonic() - begun
    assert pid is None or not is_alive(pid)
    calls = (await simulator.app_state(platform, app)).discovery_calls

    async def nothing_more() -> bool:
        now = await simulator.app_state(platform, app)
        return now.connections_open == 0 and now.discovery_calls == calls

    await until(nothing_more, what="every connection is closed", deadline_s=2)
    await stays(nothing_more, what="no discovery and no connection", for_s=_QUIET_S)
    return took


async def everything(longwire: Longwire) -> list[IncomingEvent]:
    """Return all events of the platforms that are in the journal now."""
    last_seq = (await longwire.status())["supervisor"]["last_seq"]
    events: list[IncomingEvent] = []
    subscription = longwire.client.subscribe(start="all", credit=10_000)
    while not events or events[-1].seq != last_seq:
        events.append(await anext(subscription))
        await events[-1].ack()
    await subscription.close()
    return [event for event in events if event.type != "account.status"]
