"""The platforms of a campaign: three apps and a loopback, what happens there, and how it comes to rest."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise
from typing import Any, Literal

from harness.longwire import dingtalk, lark
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.deliveries import DeliveryRecord, Phase
from longwire_connectors.simulator.injections import DingTalkEvent, LarkEvent

LARK_APPS = {"lark-a": "cli_00000000000000aa", "lark-b": "cli_00000000000000bb"}
DINGTALK_APPS = {"ding": "dingmain"}
LOOPBACK = "loop"
ACCOUNT_OF = {app: account for account, app in (LARK_APPS | DINGTALK_APPS).items()}

TIME_SCALE = 3600.0
"""Lark's waits of 15 s to 6 h become 4 ms to 6 s; the 3 s for an ack stay, as a client must keep them."""

_CHATS = 4
_EVENT_SHARE = 0.25
"""Of DingTalk's: these are pushed until they are acked, its messages once."""

_LOOPBACK = {"connector": "loopback", "rate_per_s": 50, "chats": _CHATS, "ids": "sequential"}
"""Its ids say of which process an event is and which one: what is lost between two is seen."""

_TICK_S = 0.1
_LOOK_S = 0.5
_SETTLE_S = 90.0
"""Five attempts with 3 s for each ack, and the waits between them."""

_OVER = (Phase.ACKED, Phase.EXHAUSTED, Phase.DROPPED)


def accounts(url: str) -> dict[str, dict[str, Any]]:
    """Return the accounts for a configuration."""
    larks = {account: lark(url, app) for account, app in LARK_APPS.items()}
    dings = {account: dingtalk(url, app) for account, app in DINGTALK_APPS.items()}
    return larks | dings | {LOOPBACK: _LOOPBACK}


async def happen(simulator: Simulator, rng: random.Random, *, rate_per_s: float) -> None:
    """Let events happen at this rate in each app, until cancelled."""
    loop = asyncio.get_running_loop()
    begun, made = loop.time(), 0
    while True:
        await asyncio.sleep(_TICK_S)  # the pace is what is wanted
        due = int((loop.time() - begun) * rate_per_s) - made
        if due > 0:
            made += due
            await burst(simulator, rng, count=due)


async def burst(simulator: Simulator, rng: random.Random, *, count: int) -> None:
    """Let so many events happen in each app, now."""
    for app in LARK_APPS.values():
        await simulator.inject_lark(_lark_event(app, rng, count=count))
    for app in DINGTALK_APPS.values():
        await simulator.inject_dingtalk(_dingtalk_event(app, rng, count=count))


def _lark_event(app: str, rng: random.Random, *, count: int) -> LarkEvent:
    return LarkEvent(
        app=app,
        chat=f"oc_{rng.randrange(_CHATS)}",
        count=count,
        parts=rng.choice((1, 1, 1, 2)),
        has_fresh_event_ids=rng.random() < 0.5,  # a redelivery is then known by its message id alone
    )


def _dingtalk_event(app: str, rng: random.Random, *, count: int) -> DingTalkEvent:
    kind: Literal["event", "message"] = "event" if rng.random() < _EVENT_SHARE else "message"
    return DingTalkEvent(app=app, conversation=f"cid{rng.randrange(_CHATS)}==", kind=kind, count=count)


async def settled(simulator: Simulator) -> list[DeliveryRecord]:
    """Wait until nothing is left that a platform would push again; return what became of everything."""

    async def look() -> list[DeliveryRecord]:
        records = [
            *await simulator.deliveries("lark"),
            *await simulator.deliveries("dingtalk"),
        ]
        if all(record.phase in _OVER for record in records):
            return records
        await asyncio.sleep(_LOOK_S)  # each look costs the simulator some hundred milliseconds
        return []

    return await until(look, what="every delivery is acked or given up", deadline_s=_SETTLE_S)


async def events_injected(simulator: Simulator) -> int:
    """Return how many events happened in all apps."""
    state = await simulator.state()
    return sum(app.events_injected for app in (*state.lark.values(), *state.dingtalk.values()))


async def no_connection_is_left(simulator: Simulator) -> None:
    """Wait until every connection is closed."""

    async def look() -> bool:
        state = await simulator.state()
        return not any(app.connections_open for app in (*state.lark.values(), *state.dingtalk.values()))

    await until(look, what="no connection is left", deadline_s=5)


async def overlaps(simulator: Simulator, *, slack_s: float) -> list[str]:
    """Return where two connections of one account were open at once for longer than the slack."""
    state = await simulator.state()
    found: list[str] = []
    for app in (*state.lark.values(), *state.dingtalk.values()):
        connections = sorted(app.connections, key=lambda connection: connection.opened_at)
        for earlier, later in pairwise(connections):
            if earlier.closed_at is None or earlier.closed_at - later.opened_at > slack_s:
                found.append(f"{app.app}: {earlier.id} was open beside {later.id}")
    return found
