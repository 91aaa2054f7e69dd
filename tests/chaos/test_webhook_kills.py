"""SIGKILL of the supervisor and of the courier in the middle of 10,000 webhook deliveries."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from chaos.posts import check_order, judged
from harness.longwire import Longwire
from harness.processes import is_alive
from harness.targets.behaviour import Answer
from harness.targets.client import Targets
from harness.waiting import until
from harness.webhooks import courier, webhook

TARGETS, EVENTS, CHATS = 5, 2_000, 40
DELIVERIES = TARGETS * EVENTS
ANSWER = Answer(delay_s=0.01)
"""Of every target: so there are always posts under way, for seconds."""
TYPES = ["message.created"]
SOURCE = {
    "connector": "loopback",
    "tenant": "acme",
    "rate_per_s": 1_000_000.0,
    "count": EVENTS,
    "chats": CHATS,
}
SOON = {"retry_initial_s": 0.2, "retry_max_s": 2.0, "breaker_open_s": 1.0}
DEADLINE_S = 90.0


@pytest.mark.timeout(240)
async def test_no_delivery_is_lost_when_supervisor_and_courier_are_killed_among_ten_thousand(
    longwire: Longwire, targets: Targets, show: Callable[[str], None]
) -> None:
    names = [f"target{n}" for n in range(TARGETS)]
    tables: dict[str, dict[str, Any]] = {
        name: webhook(await targets.open(name, Answer(503)), types=TYPES, **SOON) for name in names
    }
    longwire.configure({"source": SOURCE}, webhooks=tables)
    await longwire.start(log_level="info")

    async def all_stored() -> bool:
        return bool((await longwire.account("source"))["events"] == EVENTS)

    await until(all_stored, what="every event is stored")
    longwire.configure({}, webhooks=tables)  # for those that start later: nothing more is made
    for name in names:
        await targets.behave(name, ANSWER)
    for part in (0.25, 0.5):
        pid = (await courier(longwire))["pid"]
        await until_taken(targets, round(part * DELIVERIES))
        await longwire.kill()

        async def is_gone(pid: int = pid) -> bool:
            return not is_alive(pid)

        await until(is_gone, what="the courier of a killed supervisor is gone", deadline_s=5)
        await longwire.start(log_level="info")
    await until_taken(targets, round(0.75 * DELIVERIES))
    before = await courier(longwire)
    os.kill(before["pid"], signal.SIGKILL)

    async def all_acked() -> bool:
        return all(it["lag"] == 0 for it in await longwire.client.call("webhook.list"))

    await until(all_acked, what="everything is acked", deadline_s=DEADLINE_S)
    after = await courier(longwire)
    assert (after["restarts"], after["pid"] != before["pid"]) == (1, True)
    for name in names:
        arrivals = [it for it in await targets.arrivals(name) if it.status == ANSWER.status]
        posts = judged(name, arrivals)
        show(str(posts))
        assert posts.events == EVENTS
        check_order(arrivals)


async def until_taken(targets: Targets, count: int) -> None:
    """Wait until so many posts were answered with 200, all in all."""

    async def taken() -> bool:
        return sum(it.succeeded for it in (await targets.tallies()).values()) >= count

    await until(taken, what=f"{count} posts are taken", deadline_s=DEADLINE_S)
