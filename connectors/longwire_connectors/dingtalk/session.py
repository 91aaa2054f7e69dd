"""One attempt: ask for a connection, open it, serve it to its end.

A driver of our own around the SDK's public parts, because its `start()` cannot be stopped (D2), storms (D3)
and loses frames (D8). The reader is the only judge of how a connection ended; pings and the watch over
silence run beside it, and each event is stored and answered in a task of its own, begun in the order of
arrival.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from uuid import uuid4

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from longwire_connectors.base import Host, Link
from longwire_connectors.clicks import Click
from longwire_connectors.dingtalk import connection, errors, sdk, wire
from longwire_connectors.dingtalk.errors import Grant
from longwire_connectors.dingtalk.memory import Memory
from longwire_connectors.dingtalk.normalise import CARD_ACTION, Frame, is_understood, to_event
from longwire_connectors.dingtalk.options import DingTalkOptions
from longwire_connectors.proof import SocketProof
from longwire_connectors.reading import read_in_pieces
from longwire_protocol.event import Event
from longwire_protocol.link import LinkFailure

STORED_WITHIN_S = 5.0
"""How long a frame's answer waits for the disk. How long DingTalk waits is not established; its Node SDK says
an unanswered push is repeated within a minute. After this an answer is hardly believed, and none is needed:
the event still gets to the journal, an event is repeated and recognised there, and a robot message is «never
pushed again» whether it is answered or not (`docs/platforms.md` 4.3)."""
CLICK_STORED_WITHIN_S = 3.0
"""The same for a click on a card: by then its user has been told that it failed, as on Lark; DingTalk's own
figure is not established."""
MAX_UNANSWERED = 256
"""Frames whose storing is under way before no more are read. More than Lark's 32, though each costs 10 KB:
what is not read when the connection ends is lost, as robot messages are not delivered again."""

ANSWER_GRACE_S = 0.3
"""How long frames that came before a disconnect may still be stored and answered; a commit takes
milliseconds."""

_log = logging.getLogger("longwire.dingtalk")

_UNREADABLE = (ValueError, TypeError, RecursionError)
"""What reading headers and data raises, in the SDK and here, when they are not of the platform's form."""


class Session:
    """One attempt of one account. Serve it once."""

    def __init__(self, options: DingTalkOptions, host: Host, link: Link, memory: Memory) -> None:
        self._options = options
        self._host = host
        self._link = link
        self._memory = memory
        self._link_timeout_s = host.account.link_timeout_s
        self._client = sdk.new_client(options, self._take)
        self._name = uuid4().hex
        self._unanswered: set[asyncio.Task[None]] = set()
        self._holding: set[asyncio.Task[None]] = set()
        """Those of clicks whose answers wait for a client; they keep no other frame from being read."""
        self._clicks: dict[asyncio.Task[Any] | None, Click] = {}
        """Of the tasks whose frames are clicks."""
        self._free = asyncio.Semaphore(MAX_UNANSWERED)
        self._silent_after_s: float | None = None
        self._handover: LinkFailure | None = None

    async def serve(self) -> LinkFailure:
        """Connect and serve until the connection ends; the socket is closed when this is over."""
        failure = await self._serve()
        if failure.reason == errors.UNKNOWN:
            _log.warning(errors.UNKNOWN, extra={"code": failure.error_code, "text": failure.message})
        return failure

    async def _serve(self) -> LinkFailure:
        granted = await self._ask()
        if isinstance(granted, LinkFailure):
            return granted
        socket = await connection.open_socket(granted, timeout_s=self._link_timeout_s)
        if isinstance(socket, LinkFailure):
            return socket
        read_in_pieces(socket.transport)
        try:
            return await self._talk(socket)
        finally:
            await connection.leave(socket)

    async def _ask(self) -> Grant | LinkFailure:
        opening = await sdk.ask_for_connection(
            self._client, base=self._options.base, timeout_s=self._link_timeout_s
        )
        if opening.answer is None:
            error = type(opening.error).__name__ if opening.error else ""
            return errors.opening_failed(is_timeout=opening.is_timeout, error=error)
        return errors.judge_opening(opening.answer, opening.granted)

    async def _talk(self, socket: ClientConnection) -> LinkFailure:
        # The client is this connection's alone, so an answer cannot get onto another socket (D10).
        self._client.websocket = socket
        self._proof = SocketProof(timeout_s=self._link_timeout_s, on_pong=self._on_pong)
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            beside = [
                tasks.create_task(self._ping(socket), name="dingtalk ping"),
                tasks.create_task(self._watch(socket), name="dingtalk watch"),
            ]
            failure = await self._read(socket)
            # A task cancelled before its first step would take its event along.
            await asyncio.sleep(0)
            for task in (*beside, *self._unanswered, *self._holding):
                task.cancel()
        return failure

    async def _read(self, socket: ClientConnection) -> LinkFailure:
        try:
            while True:
                if self._handover is None:  # else little comes any more, and nothing else will read it
                    await self._room()
                await self._on_message(socket, await socket.recv(decode=False))
        except ConnectionClosed as exc:
            return self._handover or self._closed(exc)

    async def _room(self) -> None:
        """Wait until another frame may be read; one that was read must not wait and be lost with the link."""
        with self._proof.paused():
            await self._link.room()
            async with self._free:
                return

    def _closed(self, end: ConnectionClosed) -> LinkFailure:
        if self._silent_after_s is not None:
            return errors.silent(self._silent_after_s)
        failure = errors.closed(
            received=end.rcvd.code if end.rcvd else None, sent=end.sent.code if end.sent else None
        )
        if failure.reason == "frame_too_large":
            self._host.count("frame_too_large")
        return failure

    async def _on_message(self, socket: ClientConnection, text: bytes) -> None:
        """Deal with one WebSocket message."""
        self._on_proof()
        self._link.frame()
        self._proof.note()
        envelope = wire.read(text)
        if envelope is None:
            self._malformed()
        elif envelope.type == wire.SYSTEM:
            await self._on_system(socket, envelope)
        elif not self._has_handler(envelope):
            self._host.count("unknown_topic")
            await connection.answer(socket, envelope, code=wire.NO_SUCH_TOPIC, message="no such topic")
        else:
            await self._free.acquire()  # at once, as `_room` saw to it; after a disconnect within seconds
            self._begin(socket, envelope)

    async def _on_system(self, socket: ClientConnection, envelope: wire.Envelope) -> None:
        """Answer a ping, leave on a disconnect; the others (CONNECTED, KEEPALIVE, ...) want no answer."""
        if envelope.topic not in (wire.PING, wire.DISCONNECT):
            return
        await connection.answer(socket, envelope, code=wire.OK, message="OK", data=envelope.data)
        if envelope.topic == wire.DISCONNECT and self._handover is None:
            self._handover = errors.handed_over()
            self._tasks.create_task(self._part(socket), name="dingtalk parting")

    async def _part(self, socket: ClientConnection) -> None:
        """Close once what came is answered. The reader goes on meanwhile: what still comes is not lost."""
        self._host.clicks.release()
        if under_way := self._unanswered | self._holding:
            await asyncio.wait(under_way, timeout=ANSWER_GRACE_S)
        await connection.leave(socket)

    def _has_handler(self, envelope: wire.Envelope) -> bool:
        return envelope.type == wire.EVENT or (
            envelope.type == wire.CALLBACK and envelope.topic in self._client.callback_handler_map
        )

    def _begin(self, socket: ClientConnection, envelope: wire.Envelope) -> None:
        """Begin to store and answer a frame."""
        task = self._tasks.create_task(self._store(socket, envelope), name="dingtalk frame")
        self._unanswered.add(task)
        task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._holding.discard(task)
        if task in self._unanswered:
            self._unanswered.remove(task)
            self._free.release()

    async def _store(self, socket: ClientConnection, envelope: wire.Envelope) -> None:
        """Deal with a frame; one bad frame must not end the link."""
        try:
            await self._route(envelope)
        except ConnectionClosed:
            return  # the reader says so; what was not answered comes again
        except _UNREADABLE as exc:
            self._malformed(type(exc).__name__)
            await self._refuse(socket, envelope)
        except Exception:  # noqa: BLE001  the edge of a task; the log has the traceback
            self._host.count("failed_frame")
            _log.exception("frame_failed", extra={"topic": envelope.topic})

    async def _route(self, envelope: wire.Envelope) -> None:
        """Let the SDK read the frame, call `_take` and answer."""
        task = asyncio.current_task()
        try:
            await self._client.route_message(envelope.for_sdk())
            if click := self._clicks.get(task):
                click.sent()
        finally:
            if click := self._clicks.pop(task, None):
                click.failed()

    async def _take(self, frame: Frame) -> dict[str, Any] | None:
        """Hand a frame over; return the answer's data once it is on disk, of a click once there is one.

        Nothing is awaited before: order is kept.
        """
        self._memory.learn(frame, now=asyncio.get_running_loop().time())
        bot = self._memory.bot
        if bot is not None and bot != self._host.bot:
            self._host.identify(bot)
        event = to_event(frame, self._host.stamp())
        if not is_understood(event):
            self._host.count("event_not_understood")
        click = self._hold(event)
        is_stored = await self._link.hand_over(
            event, timeout_s=CLICK_STORED_WITHIN_S if event.type == CARD_ACTION else STORED_WITHIN_S
        )
        if not is_stored:
            self._host.count("not_stored_in_time")
            if click is not None:
                click.failed()
            return None
        if click is None:
            # The SDK would answer an event with the event's own data (D19); the protocol wants a status.
            return {"status": "SUCCESS"} if frame.type == wire.EVENT else {"response": None}
        self._set_apart()
        return {"response": await click.answer()}

    def _hold(self, event: Event) -> Click | None:
        """Hold the answer of a click that can be answered, which takes an id."""
        if event.type != CARD_ACTION or event.dedup_key is None:
            return None
        until = asyncio.get_running_loop().time() + self._options.card_respond_s
        click = self._host.clicks.hold(event, until=until)
        task = asyncio.current_task()
        if click is not None and task is not None:
            self._clicks[task] = click
        return click

    def _set_apart(self) -> None:
        """Let the present task's frame, which waits for a client, keep no other one from being read."""
        task = asyncio.current_task()
        if task in self._unanswered:
            self._answered(task)
            self._holding.add(task)

    async def _refuse(self, socket: ClientConnection, envelope: wire.Envelope) -> None:
        try:
            await connection.answer(socket, envelope, code=wire.BAD_REQUEST, message="unreadable")
        except ConnectionClosed:
            return

    def _malformed(self, error: str = "") -> None:
        self._host.count("malformed_frame")
        _log.debug("malformed_frame", extra={"error": error})

    def _on_proof(self) -> None:
        if not self._proof.has_proof:
            self._link.proven(self._name)

    def _on_pong(self) -> None:
        self._on_proof()
        self._link.pong()

    async def _ping(self, socket: ClientConnection) -> None:
        try:
            await self._proof.ping(socket)
        except ConnectionClosed:
            return  # there may be frames left to read: the reader says when it is over

    async def _watch(self, socket: ClientConnection) -> None:
        await self._proof.silence()
        self._silent_after_s = self._proof.limit_s
        socket.transport.abort()
