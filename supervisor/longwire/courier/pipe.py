"""The private pipe between supervisor and courier, an end of it: frames out, frames in, and its end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from longwire.courier.wire import FromCourier, ToCourier, Unframer, framed
from longwire_protocol.errors import FrameError

MAX_UNREAD_BYTES = 8 * 1024 * 1024
"""Of what the other side has not read. Who sends much waits until it is `drained`; all else is little."""


class Pipe(asyncio.Protocol):
    """One end; `open_pipe` makes it.

    Args:
        kind: the union of what comes in.
        heard: called with each frame.
        lost: called once when nothing comes any more, with the reason.
    """

    def __init__(self, kind: object, *, heard: Callable[[object], None], lost: Callable[[str], None]) -> None:
        self._unframer = Unframer(kind)
        self._heard = heard
        self._lost = lost
        self._transport: asyncio.WriteTransport | None = None
        self._can_write = asyncio.Event()
        self._can_write.set()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._can_write.clear()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._can_write.set()

    async def drained(self) -> None:
        """Return when the other side has read most of what was sent, or is gone."""
        await self._can_write.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101  # of a socket, it is
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        try:
            frames = self._unframer.feed(data)
        except FrameError as exc:
            self._end(f"it says what we do not understand: {exc}")
            return
        for frame in frames:
            self._heard(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._end("its end of the pipe is closed" if exc is None else str(exc))

    def send(self, frame: ToCourier | FromCourier) -> bool:
        """Send a frame without waiting; `False` if the other side is gone, or reads too little."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        transport.write(framed(frame))
        if transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self._end("it does not read")
            return False
        return True

    def close(self) -> None:
        """Close it, without a word to anybody; what was sent and not read is lost."""
        self._lost = _ignore
        self._end("")

    def _end(self, why: str) -> None:
        transport, self._transport = self._transport, None
        self._can_write.set()
        if transport is not None:
            transport.abort()
            lost, self._lost = self._lost, _ignore
            lost(why)


async def open_pipe(
    end: socket.socket, kind: object, *, heard: Callable[[object], None], lost: Callable[[str], None]
) -> Pipe:
    """Return a pipe over one end of a socket pair, which it owns; see `Pipe`."""
    _, pipe = await asyncio.get_running_loop().create_connection(
        lambda: Pipe(kind, heard=heard, lost=lost), sock=end
    )
    return pipe


def _ignore(_: str) -> None:
    """Nobody wants to know."""
