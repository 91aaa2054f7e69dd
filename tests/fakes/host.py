"""A run time without a parent: it records what a connector says and stores when it is told to."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter

from longwire_connectors.base import Account, Stamp
from longwire_connectors.clicks import Clicks
from longwire_connectors.senders import Senders
from longwire_protocol.event import Bot, Event


class FakeHost:
    """Records identity and counts; stamps events with growing ids and a fixed clock."""

    def __init__(
        self,
        *,
        platform: str,
        link_timeout_s: float = 60.0,
        explicit: bool = False,
        allow_senders: tuple[str, ...] | None = None,
    ) -> None:
        self.account = Account(
            account="acme",
            tenant="acme-inc",
            platform=platform,
            link_timeout_s=link_timeout_s,
            is_link_timeout_explicit=explicit,
        )
        self.bot: Bot | None = None
        self.clicks = Clicks(Senders(allow_senders))
        self.counts: Counter[str] = Counter()
        self._ids = itertools.count(1)

    def identify(self, bot: Bot) -> None:
        self.bot = bot

    def stamp(self) -> Stamp:
        account = self.account
        return Stamp(
            id=f"ev-{next(self._ids)}",
            recv_time=1_700_000_000.5,
            tenant=account.tenant,
            account=account.account,
            platform=account.platform,
            bot=self.bot,
        )

    def count(self, what: str) -> None:
        self.counts[what] += 1


class FakeLink:
    """Records proofs and events; `stores` decides whether hand-overs are answered at once."""

    def __init__(self, *, stores: bool = True) -> None:
        self.is_proven = asyncio.Event()
        self.connection: str | None = None
        self.frames = 0
        self.pongs = 0
        self.platform_answers = 0
        self.platform_timeout_s: float | None = None
        self.events: list[Event] = []
        self.arrived = asyncio.Condition()
        self.storing = asyncio.Event()
        if stores:
            self.storing.set()

    def proven(self, connection: str) -> None:
        self.connection = connection
        self.is_proven.set()

    def frame(self) -> None:
        self.frames += 1

    def pong(self) -> None:
        self.pongs += 1

    def platform_answered(self, *, timeout_s: float) -> None:
        self.platform_answers += 1
        self.platform_timeout_s = timeout_s

    async def room(self) -> None:
        return

    def hand_over(self, event: Event, *, timeout_s: float) -> asyncio.Future[bool]:
        return asyncio.ensure_future(self.store(event, timeout_s=timeout_s))

    async def store(self, event: Event, *, timeout_s: float) -> bool:
        async with self.arrived:
            self.events.append(event)
            self.arrived.notify_all()
        try:
            async with asyncio.timeout(timeout_s):
                await self.storing.wait()
        except TimeoutError:
            return False
        return True

    async def wait_for_events(self, n: int, *, timeout_s: float = 20.0) -> None:
        async with asyncio.timeout(timeout_s), self.arrived:
            await self.arrived.wait_for(lambda: len(self.events) >= n)
