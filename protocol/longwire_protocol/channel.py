"""A ZeroMQ socket on an asyncio loop, drained when its descriptor is readable.

The asyncio flavour of pyzmq makes a future and a task per message: a fourteenth of the throughput. Three
habits of ZeroMQ shape the code:

* The descriptor is edge-triggered: it says «something changed», once. So every wake-up reads until the
  socket is empty, and as a send can swallow the edge, each send looks whether there is something to read.
* A `recv` that is cancelled may lose a message; here nothing is ever cancelled, reads do not wait.
* A send that would wait means the peer does not read. It is answered with `Sent.FULL`, never queued here:
  the owner keeps its own bound, and hears of room by `on_writable`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Protocol, TypeAlias

import zmq

if TYPE_CHECKING:
    Socket: TypeAlias = zmq.Socket[bytes]
else:
    Socket = zmq.Socket

_READ_BATCH = 512
"""Messages read before other callbacks of the loop get their turn: about a millisecond's worth."""

_RETRY_S = 0.05
"""How often a full socket is tried again if its descriptor says nothing (a ROUTER's may not)."""

# Plain numbers: the enumerations' own arithmetic costs as much as a send.
_NOBLOCK, _MORE, _READABLE = int(zmq.NOBLOCK), int(zmq.NOBLOCK | zmq.SNDMORE), int(zmq.POLLIN)

Receive = Callable[[list[bytes]], None]


class Sent(Enum):
    """What became of a send."""

    OK = "ok"  # ZeroMQ has it
    FULL = "full"  # the peer's queue is full; `on_writable` will tell
    GONE = "gone"  # a ROUTER has no such peer (any more)


class Carrier(Protocol):
    """By what frames travel: a `Channel`, or the end of a pipe between two loops of one process."""

    def send(self, parts: Sequence[bytes]) -> Sent:
        """Send one message without waiting."""
        ...

    def close(self, *, linger_ms: int = 0) -> None:
        """Stop reading and sending."""
        ...


class Channel:
    """Owns a socket: reads it on the running loop, and closes it.

    Args:
        socket: not read by anyone else. A ROUTER should have `ROUTER_MANDATORY` set, so that gone peers show.
        receive: called with the parts of each message; must not raise, must not wait.
        on_writable: called when a socket that was full may have room again.
    """

    def __init__(
        self, socket: Socket, receive: Receive, *, on_writable: Callable[[], None] | None = None
    ) -> None:
        self._socket = socket
        self._receive = receive
        self._on_writable = on_writable
        self._loop = asyncio.get_running_loop()
        self._fd = int(socket.getsockopt(zmq.FD))
        self._asked = [(socket, _READABLE)]
        self._look: asyncio.Handle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._is_paused = False
        self._rest: asyncio.TimerHandle | None = None
        self.rest_s = 0.0
        """After a read, how long the next messages wait for each other: waking costs more than reading."""
        self._loop.add_reader(self._fd, self._readable)
        self._look_again()

    def send(self, parts: Sequence[bytes]) -> Sent:
        """Send one message without waiting; `GONE` too when the channel is closed."""
        send = self._socket.send
        try:
            for part in parts[:-1]:
                send(part, _MORE)
            send(parts[-1], _NOBLOCK)
        except zmq.Again:
            self._retry_later()
            return Sent.FULL
        except zmq.ZMQError as exc:
            if exc.errno in {zmq.EHOSTUNREACH, zmq.ENOTSOCK}:
                return Sent.GONE
            raise
        if self._look is None and self._is_readable:
            self._look_again()
        return Sent.OK

    def pause(self) -> None:
        """Read nothing until `resume`: the peers' queues fill, and they wait."""
        self._is_paused = True

    def resume(self) -> None:
        """Read again after `pause`."""
        self._is_paused = False
        self._look_again()

    def drain(self, *, max_messages: int) -> None:
        """Read what waits, now, before someone is judged for silence; at most `max_messages` of a flood."""
        for _ in range(0, max_messages, _READ_BATCH):
            if self._read_some() < _READ_BATCH:
                break
        else:
            self._look_again()
        if self._retry is not None:
            self._look_again()

    def close(self, *, linger_ms: int = 0) -> None:
        """Stop reading and close the socket; messages not yet sent get `linger_ms` milliseconds."""
        if self._socket.closed:
            return
        self._loop.remove_reader(self._fd)
        for handle in (self._look, self._retry, self._rest):
            if handle is not None:
                handle.cancel()
        self._look = self._retry = self._rest = None
        self._socket.close(linger_ms)

    def _look_again(self) -> None:
        if self._look is None and not self._socket.closed:
            self._look = self._loop.call_soon(self._looked)

    def _looked(self) -> None:
        self._look = None
        self._readable()

    def _readable(self) -> None:
        read = self._read_some()
        if read == _READ_BATCH:
            self._look_again()
        elif read and self.rest_s > 0 and self._rest is None and not self._socket.closed:
            self._loop.remove_reader(self._fd)
            self._rest = self._loop.call_later(self.rest_s, self._rested)
        if self._retry is not None:  # last, as reading swallows the edge that tells of room
            self._retry_now()

    def _rested(self) -> None:
        self._rest = None
        self._loop.add_reader(self._fd, self._readable)
        self._readable()

    def _read_some(self) -> int:
        """Read a batch and return how many messages it had; after a full one more may wait."""
        socket, receive = self._socket, self._receive
        if self._socket.closed or not self._is_readable:
            return 0
        for read in range(_READ_BATCH):
            if socket.closed or self._is_paused:
                return read
            if read == 1 and not self._is_readable:  # mostly it is one, and to be told so costs more
                return read
            try:
                frame = socket.recv(_NOBLOCK, copy=False)
            except zmq.Again:
                return read
            parts = [frame.bytes]
            while frame.more:
                frame = socket.recv(_NOBLOCK, copy=False)
                parts.append(frame.bytes)
            receive(parts)
        return _READ_BATCH

    @property
    def _is_readable(self) -> bool:
        """Whether something can be read now: asking costs a fifth of being told `Again`."""
        return bool(zmq.zmq_poll(self._asked, 0))

    def _retry_later(self) -> None:
        if self._retry is None and self._on_writable is not None and not self._socket.closed:
            self._retry = self._loop.call_later(_RETRY_S, self._retry_now)

    def _retry_now(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._on_writable is not None:
            self._on_writable()


def new_socket(context: zmq.Context[zmq.Socket[bytes]], kind: int, *, high_water: int) -> Socket:
    """Return a socket with the options every channel of Longwire has.

    Args:
        context: never the process-wide `Context.instance()`, which belongs to an embedding host.
        kind: `zmq.DEALER` or `zmq.ROUTER`.
        high_water: messages queued in each direction and per peer before a send answers `FULL`.
    """
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, high_water)
    socket.setsockopt(zmq.RCVHWM, high_water)
    if kind == zmq.ROUTER:
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    return socket
