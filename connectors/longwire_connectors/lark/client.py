"""The SDK's WebSocket client, made to serve one connection and to report instead of to retry.

Import this only after `sdk.load`. What is overridden, and why (numbers of `docs/platforms.md` 2.1):

* discovery apart from connecting, so that it can run in a thread (L3);
* no reading and no reconnecting of its own: the session reads and the parent decides (L4, L5);
* timings clamped (L9), pings that nothing can end or speed up (L8, L9);
* the ack waits for the journal, that of a click for its answer, too, and leaves only on the socket its frame
  came on;
* messages in several frames are put together once (L20).
"""
# pyright: reportUntypedBaseClass=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportPrivateUsage=false, reportMissingTypeStubs=false
# The SDK carries no types, and what is overridden is private in it.

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, cast

import lark_oapi.ws.client as ws
from lark_oapi.core.enum import LogLevel
from websockets.exceptions import ConnectionClosed

from longwire_connectors.base import Host, Link
from longwire_connectors.clicks import Click
from longwire_connectors.lark import clicks, sdk
from longwire_connectors.lark.errors import HTTP_OK, Answer
from longwire_connectors.lark.inflight import Inflight
from longwire_connectors.lark.liveness import DEFAULT_INTERVAL_S, ping_interval_s
from longwire_connectors.lark.normalise import CARD_ACTION, is_understood, normalise
from longwire_connectors.lark.options import LarkOptions
from longwire_connectors.lark.parts import MalformedPart, Parts
from longwire_connectors.lark.payload import MalformedEvent
from longwire_connectors.reading import read_in_pieces
from longwire_protocol.event import Event

ACK_WITHIN_S = 3.0
"""From a frame's arrival: what is acked later is redelivered anyway (Lark's document on receiving events). A
click is not, but its user has been shown a failure by then (the document on callbacks)."""

_log = logging.getLogger(__name__)


class DiscoveryRefused(Exception):
    """Lark answered, and gave no address; or the SDK would not even ask."""

    def __init__(self, answer: Answer, text: str) -> None:
        super().__init__(text)
        self.answer = answer


class _Arrival:
    """A frame under way, known to everything its task calls."""

    __slots__ = ("at", "event", "is_understood", "socket")

    def __init__(self, socket: Any, *, at: float) -> None:
        self.socket = socket
        self.at = at
        self.event: Event | None = None
        self.is_understood = False


_arrival: ContextVar[_Arrival | None] = ContextVar("lark_arrival", default=None)


class _Handler:
    """What the SDK calls with a whole payload, on the loop; its result goes into the ack."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def _do_without_validation(self, payload: bytes) -> dict[str, Any] | None:
        """Make the event; it is handed over when the SDK comes to write the ack, in the same step.

        A payload that is no JSON object makes the SDK answer 500: it is not stored, so it must not count as
        received, and the four redeliveries that follow are cheap.
        """
        arrival = _arrival.get()
        if arrival is None:
            raise RuntimeError("the handler was called outside a frame")
        try:
            arrival.event = normalise(payload, stamp=self._host.stamp())
        except MalformedEvent:
            self._host.count("malformed_event")
            raise
        if not is_understood(arrival.event):
            self._host.count("event_not_understood")
        return {} if arrival.event.type == CARD_ACTION else None

    do_without_validation = _do_without_validation  # its name up to 1.4


class LarkClient(ws.Client):  # type: ignore[misc]  # the SDK carries no types
    """One connection's client. Made in the loop, used once, ended by `retire`.

    Args:
        options: whose app.
        host: stamps events and counts what is refused.
        link: where events go.
    """

    def __init__(self, options: LarkOptions, *, host: Host, link: Link) -> None:
        self._running = asyncio.get_running_loop()
        ws.loop = self._running  # a module attribute: one account per process (L1)
        super().__init__(
            options.app_id,
            options.app_secret,
            log_level=LogLevel.WARNING,
            event_handler=cast("Any", _Handler(host)),  # only its one method is used
            domain=options.base,
            auto_reconnect=False,
        )
        self._host = host
        self._link = link
        self._respond_s = options.card_respond_s
        self._default = clicks.default(options.card_default_toast)
        self._held = Inflight(name="lark click")
        self._url = ""
        self._interval_s = DEFAULT_INTERVAL_S
        self._parts = Parts()
        self._are_timings_new = asyncio.Event()
        self.on_answer: Callable[[], None] = _nothing
        """Called with each data frame: the platform spoke."""
        self.before_event: Callable[[], Awaitable[object]] = _no_wait
        """Awaited before an event is made of a data frame; frames go on in the order in which they came."""
        self.on_pong: Callable[[], None] = _nothing
        """Called with each Lark pong, once its timings are in force."""
        # Sweeps a cache that is not used any more; as a task of no one's it outlives the loop (L13).
        self._sweeper: asyncio.Task[None] = self._cache._cron  # noqa: SLF001
        self._sweeper.cancel()

    @property
    def socket(self) -> Any:
        """The connection, `None` before it is open; of `websockets.asyncio.client`."""
        return self._conn

    @property
    def connection(self) -> str:
        """The platform's name of the connection; no secret."""
        return str(self._conn_id)

    @property
    def interval_s(self) -> float:
        """Seconds between Lark pings."""
        return self._interval_s

    def discover(self) -> str:
        """Ask for the address to connect to, and for the timings; blocks, so run it in a thread.

        Raises:
            DiscoveryRefused: with Lark's answer.
            Exception: the network's errors, or an answer that cannot be read.
        """
        url, answer = sdk.answered(cast("Callable[[], object]", super()._get_conn_url))
        if isinstance(url, ws.ClientException | ws.ServerException):
            raise DiscoveryRefused(answer or Answer(HTTP_OK, url.code), str(url))
        if isinstance(url, Exception):
            raise url
        if not isinstance(url, str):
            raise TypeError(f"a URL that is {type(url).__name__}")
        return url

    async def connect(self, url: str) -> None:
        """Open the WebSocket at `url`; once in a client's life (a second time would deadlock, L6).

        Raises:
            HandshakeRefused: the platform said no.
            Exception: the network's errors; KeyError, ValueError for an address that cannot be used.
        """
        if self._conn is not None or self._url:
            raise RuntimeError("a client serves one connection")
        self._url = url
        await self._connect()
        read_in_pieces(self.socket.transport)
        int(self._service_id)  # every ping carries it

    async def handle(self, message: bytes | str) -> None:
        """Handle a WebSocket message, in a task of its own."""
        await self._handle_message(message)

    async def ping_platform(self) -> None:
        """Send a Lark ping now and in each interval, until the connection is over."""
        frame = ws._new_ping_frame(int(self._service_id)).SerializeToString()  # noqa: SLF001
        with contextlib.suppress(ConnectionClosed):  # the reader reports it
            while True:
                await self._write_message(frame)
                await self._interval()

    async def let_go(self, *, grace_s: float) -> None:
        """Have the default shown for the clicks that are still held; none is left."""
        self._host.clicks.release()
        await self._held.finish(grace_s=grace_s)

    async def retire(self) -> None:
        """End what the SDK started."""
        await asyncio.gather(self._sweeper, return_exceptions=True)

    async def _interval(self) -> None:
        """Wait for the next ping's time, by the timings then in force."""
        since = self._running.time()
        while (left_s := since + self._interval_s - self._running.time()) > 0:
            self._are_timings_new.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._are_timings_new.wait()

    # What follows overrides the SDK, under its names.

    def _get_conn_url(self) -> str:
        return self._url

    async def _receive_message_loop(self) -> None:
        """Do nothing: the session reads. The SDK's would put the loss into a task that nobody awaits."""

    async def _reconnect(self) -> None:
        """Do nothing: the parent decides."""

    async def _handle_message(self, msg: Any) -> None:
        arrival = _Arrival(self._conn, at=self._running.time())
        _arrival.set(arrival)
        await super()._handle_message(msg)  # logs what it cannot read, and raises nothing
        if not arrival.is_understood:
            self._host.count("malformed_frame")

    async def _handle_control_frame(self, frame: Any) -> None:
        is_pong = any(h.key == "type" and h.value == "pong" for h in frame.headers)
        try:
            await super()._handle_control_frame(frame)
            _understood()
        finally:
            if is_pong:  # an answer, whatever its payload says
                self._are_timings_new.set()
                self.on_pong()

    async def _handle_data_frame(self, frame: Any) -> None:
        self.on_answer()
        await self.before_event()
        await super()._handle_data_frame(frame)
        _understood()

    def _combine(self, msg_id: str, sum_: int, seq: int, bs: bytes) -> bytes | None:
        dropped = self._parts.dropped
        try:
            return self._parts.add(msg_id, part=seq, count=sum_, data=bs, now=self._running.time())
        except MalformedPart as error:
            self._host.count("malformed_frame")
            _log.warning("part_refused", extra={"error": str(error)})
            return None
        finally:
            for _ in range(self._parts.dropped - dropped):
                self._host.count("incomplete_message")

    def _configure(self, conf: Any) -> None:
        """Take over the one timing that matters here; also called in discovery's thread."""
        self._interval_s = ping_interval_s(conf.PingInterval, current_s=self._interval_s)

    async def _write_message(self, data: bytes) -> None:
        """Send a ping at once, an event's ack when the event is stored, or not at all.

        A click that is not on disk in time gets none, though Lark delivers it never again: its user then sees
        that it failed and clicks once more, which beats the toast of a success that nobody will work for.
        """
        arrival = _arrival.get()
        if arrival is None or arrival.event is None:
            await super()._write_message(data)
            return
        _understood()
        left_s = max(arrival.at + ACK_WITHIN_S - self._running.time(), 0.0)
        click = self._hold(arrival)
        stored = self._link.hand_over(arrival.event, timeout_s=left_s)
        arrival.event = None  # it is encoded; what waits for the journal must not hold it, too
        is_stored = False
        try:
            is_stored = await stored
        finally:
            if click is not None and not is_stored:
                click.failed()
        if not is_stored:
            self._host.count("ack_withheld")
        elif click is None:
            await self._acknowledge(arrival.socket, data)
        else:  # apart from the frames: what is held for seconds must not keep the reader from reading on
            self._held.start(self._show(click, arrival.socket, data))

    def _hold(self, arrival: _Arrival) -> Click | None:
        if arrival.event is None or arrival.event.type != CARD_ACTION:
            return None
        return self._host.clicks.hold(arrival.event, until=arrival.at + self._respond_s)

    async def _show(self, click: Click, socket: Any, ack: bytes) -> None:
        try:
            answer = await click.answer()
            if await self._acknowledge(socket, _answering(ack, self._default if answer is None else answer)):
                click.sent()
        finally:
            click.failed()

    async def _acknowledge(self, socket: Any, ack: bytes) -> bool:
        """Return whether it is on its way; if not, the event is stored and its redelivery is recognised."""
        try:
            await socket.send(ack)
        except ConnectionClosed:
            self._host.count("ack_unsent")
            return False
        return True


def _answering(ack: bytes, answer: dict[str, Any]) -> bytes:
    """Return an ack as the SDK made it with this answer in it."""
    frame = ws.Frame()
    frame.ParseFromString(ack)
    frame.payload = clicks.with_answer(frame.payload, answer)
    return bytes(frame.SerializeToString())


def _understood() -> None:
    arrival = _arrival.get()
    if arrival is not None:
        arrival.is_understood = True


def _nothing() -> None:
    return


async def _no_wait() -> None:
    return
