"""One WebSocket of a client: a reader, a writer with a bounded outbox, and how it ends."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Literal

from aiohttp import WSMessage, WSMsgType, web

from longwire_connectors.simulator.counters import ConnectionState

__all__ = ["Link"]

MAX_WAITING_FRAMES = 256
"""Frames that may wait for a slow client; further deliveries stay in the book until these are written."""
MAX_PARTS = 128
"""Frames of one delivery. Half the outbox, so that one delivery always fits into an empty one."""
CLOSE_TIMEOUT_S = 2.0
"""How long a client may take to answer a close frame before its socket is cut."""
BROKEN_FRAME = b"\x82\x7e\x10\x00" + bytes(16)
"""The header of a binary frame of 4,096 bytes, and 16 of them."""
ABNORMAL_CLOSURE = 1006
"""The code RFC 6455 reserves for an end without a close frame."""
NO_STATUS = 1005
"""The code RFC 6455 reserves for a close frame without a code."""

WireFrame = bytes | str
OnMessage = Callable[[WSMessage], Awaitable[None]]


class Link:
    """One open connection, whose tasks live in the task group of its request.

    ``on_room`` is called each time the outbox has been emptied, so that more can be sent. While ``is_frozen``
    is true nothing that comes in is seen, and what is sent is lost.
    """

    def __init__(
        self,
        *,
        app: str,
        state: ConnectionState,
        on_room: Callable[[], None],
        is_frozen: Callable[[], bool],
    ) -> None:
        self.app = app
        self.state = state
        self.topics: frozenset[str] = frozenset()
        """What the client subscribed to, as ``type topic``; Lark has no subscriptions."""
        self.is_receiving = False
        """Whether deliveries may go to it: open, and not told to leave."""
        self._socket = web.WebSocketResponse(
            autoping=False, autoclose=False, compress=False, timeout=CLOSE_TIMEOUT_S
        )
        self._outbox: asyncio.Queue[WireFrame] = asyncio.Queue(MAX_WAITING_FRAMES)
        self._on_room = on_room
        self._is_frozen = is_frozen
        self._request: web.Request | None = None
        self._cut_after_s = 0.0
        self._cut_wanted = asyncio.Event()

    async def accept(self, request: web.Request) -> None:
        """Complete the handshake."""
        self._request = request
        await self._socket.prepare(request)
        self.is_receiving = True

    async def serve(self, on_message: OnMessage) -> web.WebSocketResponse:
        """Hand every message to ``on_message`` until the connection has ended, by whichever side."""
        try:
            async with asyncio.TaskGroup() as tasks:
                side_tasks = [
                    tasks.create_task(self._write(), name=f"writer {self.state.id}"),
                    tasks.create_task(self._cut_when_told(), name=f"cutter {self.state.id}"),
                ]
                await self._read(on_message)
                for task in side_tasks:
                    task.cancel()
        finally:
            self.is_receiving = False
            self._note_end("client", ABNORMAL_CLOSURE)
        return self._socket

    def offer(self, frames: tuple[WireFrame, ...]) -> bool:
        """Put the frames of one delivery into the outbox, all or none; False when there is no room."""
        if self._outbox.qsize() + len(frames) > MAX_WAITING_FRAMES:
            return False
        for frame in frames:
            self._outbox.put_nowait(frame)
        return True

    async def send(self, frame: WireFrame) -> None:
        """Put an answer into the outbox, waiting for room; meanwhile nothing more is read from the client."""
        await self._outbox.put(frame)

    async def answer_ping(self, data: bytes) -> None:
        """Send a WebSocket pong."""
        with suppress(ConnectionError):
            await self._socket.pong(data)

    async def close(self, code: int, *, reason: str = "") -> web.WebSocketResponse:
        """Close properly: send a close frame and wait for the answer, but no longer than two seconds."""
        self.is_receiving = False
        self._note_end("server", code)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._socket.close(code=code, message=reason.encode())
        except TimeoutError:
            self._cut()  # the client reads nothing: not even the close frame leaves
        return self._socket

    def abort(self) -> None:
        """Cut the TCP connection without a close frame."""
        self.is_receiving = False
        self._note_end("server", ABNORMAL_CLOSURE)
        self._cut()

    def cut_midframe(self) -> None:
        """Begin a frame of 4 KiB, and end the TCP connection after the first bytes of it."""
        self.is_receiving = False
        self._note_end("server", ABNORMAL_CLOSURE)
        if self._request is not None and self._request.transport is not None:
            self._request.transport.write(BROKEN_FRAME)
            self._request.transport.close()

    def cut_after(self, delay_s: float) -> None:
        """Deliver nothing more from now on, and cut the TCP connection in ``delay_s`` seconds."""
        self.is_receiving = False
        self._cut_after_s = delay_s
        self._cut_wanted.set()

    def _cut(self) -> None:
        if self._request is not None and self._request.transport is not None:
            self._request.transport.abort()

    async def _cut_when_told(self) -> None:
        await self._cut_wanted.wait()
        await asyncio.sleep(self._cut_after_s)
        self.abort()

    async def _read(self, on_message: OnMessage) -> None:
        while True:
            message = await self._socket.receive()
            is_frozen = self._is_frozen()
            match message.type:
                case WSMsgType.TEXT | WSMsgType.BINARY | WSMsgType.PING | WSMsgType.PONG:
                    if not is_frozen:
                        await on_message(message)
                case WSMsgType.CLOSE:
                    await self._leave(int(message.data or NO_STATUS), is_frozen=is_frozen)
                    return
                case _:
                    return

    async def _leave(self, code: int, *, is_frozen: bool) -> None:
        """Answer the client's close frame; a frozen link does not, until the client cuts it."""
        self._note_end("client", code)
        if is_frozen:
            await asyncio.get_running_loop().create_future()  # the end of the TCP connection cancels it
        await self._socket.close(code=code, drain=False)

    async def _write(self) -> None:
        with suppress(ConnectionError):
            while True:
                frame = await self._outbox.get()
                if not self._is_frozen():
                    await self._write_frame(frame)
                if self._outbox.empty():
                    self._on_room()

    async def _write_frame(self, frame: WireFrame) -> None:
        if isinstance(frame, bytes):
            await self._socket.send_bytes(frame)
        else:
            await self._socket.send_str(frame)
        self.state.frames_out += 1

    def _note_end(self, side: Literal["client", "server"], code: int) -> None:
        if self.state.closed_by is None:
            self.state.closed_by, self.state.close_code = side, code
