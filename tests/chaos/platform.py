"""The platforms of a campaign: its apps and a loopback, what happens there, and how it comes to rest."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Literal

import msgspec

from harness.longwire import dingtalk, lark
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.admin_models import PlatformName
from longwire_connectors.simulator.deliveries import DeliveryRecord, Phase
from longwire_connectors.simulator.injections import DingTalkEvent, LarkEvent

LOOPBACK = "loop"
"""The account that makes its own events."""


class Crowd(msgspec.Struct, frozen=True):
    """Whose accounts they are: the app of each account, by platform; and a loopback beside them."""

    lark: dict[str, str]
    dingtalk: dict[str, str]

    @classmethod
    def of(cls, *, lark: int, dingtalk: int) -> Crowd:
        """Return one of so many accounts."""
        return cls(
            {f"lark-{n}": f"cli_{n:016x}" for n in range(lark)},
            {f"ding-{n}": f"ding{n}" for n in range(dingtalk)},
        )

    @property
    def apps(self) -> dict[str, str]:
        """Return the app of each account."""
        return self.lark | self.dingtalk

    @property
    def account_of(self) -> dict[str, str]:
        """Return the account of each app."""
        return {app: account for account, app in self.apps.items()}

    def platform_of(self, account: str) -> PlatformName:
        """Return where an account's app is."""
        return "lark" if account in self.lark else "dingtalk"

    def accounts(self, url: str) -> dict[str, dict[str, Any]]:
        """Return the accounts for a configuration."""
        larks = {account: lark(url, app) for account, app in self.lark.items()}
        dings = {account: dingtalk(url, app) for account, app in self.dingtalk.items()}
        return larks | dings | {LOOPBACK: _LOOPBACK}


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


async def happen(simulator: Simulator, crowd: Crowd, rng: random.Random, *, rate_per_s: float) -> None:
    """Let events happen at this rate in each app, until cancelled."""
    loop = asyncio.get_running_loop()
    begun, made = loop.time(), 0
    while True:
        await asyncio.sleep(_TICK_S)  # the pace is what is wanted
        due = int((loop.time() - begun) * rate_per_s) - made
        if due > 0:
            made += due
            await burst(simulator, crowd, rng, count=due)


async def burst(simulator: Simulator, crowd: Crowd, rng: random.Random, *, count: int) -> None:
    """Let so many events happen in each app, now."""
    for app in crowd.lark.values():
        await simulator.inject_lark(_lark_event(app, rng, count=count))
    for app in crowd.dingtalk.values():
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
