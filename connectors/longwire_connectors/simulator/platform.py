"""What both platforms have: apps, faults, open links, counts, and deliveries under way."""

import asyncio
import random
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Literal, TypeVar

from aiohttp import WSMessage, WSMsgType, web

from longwire_connectors.simulator.answers import hang
from longwire_connectors.simulator.apps import AppRegistry
from longwire_connectors.simulator.clock import Clock
from longwire_connectors.simulator.counters import AppState, ConnectionState, keep
from longwire_connectors.simulator.deliveries import AckOutcome, Delivery, DeliveryBook
from longwire_connectors.simulator.diary import Diary, What
from longwire_connectors.simulator.fault_kinds import (
    AcceptThenClose,
    AckLost,
    FaultBase,
    Frozen,
    HandshakeHang,
    NoWsPong,
    Slow,
)
from longwire_connectors.simulator.faults import FaultBook
from longwire_connectors.simulator.link import Link
from longwire_connectors.simulator.timings import Timings

__all__ = ["Platform", "PlatformName"]

PlatformName = Literal["lark", "dingtalk"]
OnMessage = Callable[[Link, WSMessage], Awaitable[None]]
F = TypeVar("F", bound=FaultBase)
MAX_STATES = 100_000
MAX_GIVEN_OUT = 10_000

_random = random.SystemRandom()


class Platform:
    """The state of one simulated platform. Everything in it runs on the simulator's loop."""

    def __init__(
        self,
        name: PlatformName,
        *,
        clock: Clock,
        timings: Timings,
        faults: FaultBook,
        diary: Diary,
        is_strict: bool,
        is_pushed: Callable[[Delivery, Sequence[Link]], bool],
    ) -> None:
        self.name: PlatformName = name
        self.clock = clock
        self.timings = timings
        self.apps = AppRegistry(strict=is_strict)
        self.book = DeliveryBook()
        self.states: dict[str, AppState] = {}
        self.given_out: deque[str] = deque(maxlen=MAX_GIVEN_OUT)
        """Every ticket, key, token and session of late, so that one can look whether they leaked."""
        self.stopping = asyncio.Event()
        """Set when the simulator closes; ends what hangs on purpose."""
        self._faults = faults
        self._diary = diary
        self._is_pushed = is_pushed
        self._links: dict[str, list[Link]] = {}
        self._wake = asyncio.Event()

    def state(self, app: str) -> AppState:
        """Return the counts of an app, made at its first mention.

        Beyond 100,000 apps all new ones are counted together under the empty id.
        """
        known = self.states.get(app)
        if known is None:
            key = app if len(self.states) < MAX_STATES else ""
            known = self.states.setdefault(key, AppState(app=key))
        return known

    def fault(self, kind: type[F], app: str, *, where: Callable[[F], bool] | None = None) -> F | None:
        """Return the fault of this kind that bites ``app`` now and use one of its times."""
        return self._faults.take(kind, platform=self.name, app=app, now=self.clock.now(), where=where)

    async def slowed(self, app: str, *, step: Literal["discovery", "handshake", "api"]) -> None:
        """Wait as long as a fault has this step take."""
        if fault := self.fault(Slow, app, where=lambda slow: slow.step == step):
            await asyncio.sleep(fault.delay_s)

    def note(self, what: What, app: str, *, connection: str = "", value: object = None) -> None:
        """Write into the diary."""
        now = self.clock.now()
        self._diary.note(what, at=now, platform=self.name, app=app, connection=connection, value=value)

    def links(self, app: str = "*") -> list[Link]:
        """Return the open links of an app, or of all apps for ``*``."""
        if app == "*":
            return [link for links in self._links.values() for link in links]
        return list(self._links.get(app, ()))

    def new_link(self, app: str, *, user_agent: str) -> Link:
        """Make a link that is not open yet."""
        state = ConnectionState(id=secrets.token_hex(8), opened_at=self.clock.now(), user_agent=user_agent)
        return Link(app=app, state=state, on_room=self.wake, is_frozen=partial(self._is_frozen, app))

    def opened(self, link: Link) -> None:
        """Count a link as open; what waits for one is sent."""
        self._links.setdefault(link.app, []).append(link)
        state = self.state(link.app)
        link.state.opened_at = self.clock.now()
        keep(state.connections, item=link.state)
        state.connections_total += 1
        state.connections_open = len(self._links[link.app])
        state.connections_max_open = max(state.connections_max_open, state.connections_open)
        self.note("opened", link.app, connection=link.state.id)
        self.wake()

    def closed(self, link: Link) -> None:
        """Count a link as closed."""
        links = self._links[link.app]
        links.remove(link)
        if not links:
            del self._links[link.app]
        state = self.state(link.app)
        state.connections_open = len(links)
        link.state.closed_at = self.clock.now()
        self.note("closed", link.app, connection=link.state.id)

    async def serve(self, link: Link, *, request: web.Request, on_message: OnMessage) -> web.StreamResponse:
        """Accept a link and serve it to its end; ``on_message`` gets the client's frames, pings excepted."""
        if self.fault(HandshakeHang, link.app):
            return await hang(self.stopping)
        await self.slowed(link.app, step="handshake")
        await link.accept(request)
        self.opened(link)
        try:
            if fault := self.fault(AcceptThenClose, link.app):
                return await link.close(fault.code, reason=fault.reason)
            return await link.serve(partial(self._take, link, on_message))
        finally:
            self.closed(link)

    def inject(self, deliveries: Sequence[Delivery], *, rate_per_s: float | None) -> None:
        """Take deliveries that fall due one after the other at ``rate_per_s``, or all now for None.

        BookFullError, and none is taken, when there is no room for all of them.
        """
        self.book.require_room(len(deliveries))
        now = self.clock.now()
        for index, delivery in enumerate(deliveries):
            self.book.add(delivery, due_at=now + (index / rate_per_s if rate_per_s else 0.0))
            self.state(delivery.record.app).events_injected += 1
        self.wake()

    def acked(
        self, link: Link, *, frame_message_id: str, code: int, data: str | None, succeeded: bool
    ) -> AckOutcome:
        """Judge and count an ack that came on ``link``."""
        now = self.clock.now()
        if self.fault(AckLost, link.app):
            self._count_ack(self.state(link.app), code=code, outcome=AckOutcome.LOST, now=now)
            return AckOutcome.LOST
        delivery = self.book.find(link.app, frame_message_id=frame_message_id)
        outcome = self.book.acked(link.app, frame_message_id=frame_message_id, succeeded=succeeded, now=now)
        if delivery is not None and outcome in (AckOutcome.ACCEPTED, AckOutcome.REFUSED):
            delivery.record.ack_code, delivery.record.ack_data = code, data
        self._count_ack(self.state(link.app), code=code, outcome=outcome, now=now)
        self.wake()
        return outcome

    def wake(self) -> None:
        """Let the pump look at the book again."""
        self._wake.set()

    async def pump(self) -> None:
        """Send what the book says is due, for ever: the platform's only sender of deliveries."""
        while True:
            self._wake.clear()
            for app in self.book.collect(self.clock.now()):
                self._push(app)
            await self._sleep(self.book.next_at())

    def _is_frozen(self, app: str) -> bool:
        return self.fault(Frozen, app) is not None

    async def _take(self, link: Link, on_message: OnMessage, message: WSMessage) -> None:
        if message.type is WSMsgType.PING:
            await self._take_ws_ping(link, message)
        elif message.type is not WSMsgType.PONG:
            self.state(link.app).frames_in += 1
            link.state.frames_in += 1
            link.state.last_frame_in_at = self.clock.now()
            await on_message(link, message)

    async def _take_ws_ping(self, link: Link, message: WSMessage) -> None:
        self.state(link.app).ws_pings += 1
        link.state.ws_pings += 1
        if not self.fault(NoWsPong, link.app):
            await link.answer_ping(message.data)
            self.note("ws_pong", link.app, connection=link.state.id)

    async def _sleep(self, until: float | None) -> None:
        try:
            async with asyncio.timeout(None if until is None else max(0.0, until - self.clock.now())):
                await self._wake.wait()
        except TimeoutError:
            return

    def _push(self, app: str) -> None:
        while (delivery := self.book.first(app)) is not None:
            links = [link for link in self._links.get(app, ()) if link.is_receiving]
            if not self._is_pushed(delivery, links):
                self.book.dropped(app)
                self.state(app).dropped += 1
            elif not self._send(delivery, links):
                return

    def _send(self, delivery: Delivery, links: Sequence[Link]) -> bool:
        """Send on a random link that suits and has room: «each event goes to one, chosen at random»."""
        suited = [link for link in links if suits(delivery, link)]
        for link in _random.sample(suited, len(suited)):
            if link.offer(delivery.frames):
                self._count_sent(delivery, link)
                return True
        return False

    def _count_sent(self, delivery: Delivery, link: Link) -> None:
        state = self.state(link.app)
        state.frames_out += len(delivery.frames)
        state.events_sent += 1
        state.redeliveries += bool(delivery.record.sent_at)
        self.book.sent(link.app, connection=link.state.id, now=self.clock.now())
        self.note("farewell" if delivery.is_farewell else "frame", link.app, connection=link.state.id)
        if delivery.is_farewell:
            link.cut_after(self.timings.dingtalk_cut_s)

    @staticmethod
    def _count_ack(state: AppState, *, code: int, outcome: AckOutcome, now: float) -> None:
        state.acks += 1
        state.acked += outcome is AckOutcome.ACCEPTED
        state.ack_codes[code] = state.ack_codes.get(code, 0) + 1
        state.ack_outcomes[outcome.value] = state.ack_outcomes.get(outcome.value, 0) + 1
        keep(state.ack_times, item=now)


def suits(delivery: Delivery, link: Link) -> bool:
    """Tell whether a delivery may go to this link: the right connection, and a topic it subscribed to."""
    if delivery.connection is not None:
        return link.state.id == delivery.connection
    return not delivery.topic or delivery.topic in link.topics
