"""The child's line to its parent: a ZeroMQ context of its own, and one socket."""

from __future__ import annotations

from collections.abc import Callable

import zmq

from longwire_protocol.channel import Channel, Receive, new_socket

_HIGH_WATER = 1000
"""Frames queued towards the parent: a quarter of an hour of heartbeats, or batches of many events."""

_LINGER_MS = 200
"""How long the last frames may take to get out."""


class Line:
    """A line to the supervisor.

    Args:
        endpoint: the supervisor's ROUTER for children.
        receive: called with the parts of each message.
        on_writable: called when a line that was full may have room again.
    """

    def __init__(self, endpoint: str, receive: Receive, *, on_writable: Callable[[], None]) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        socket = new_socket(self._context, zmq.DEALER, high_water=_HIGH_WATER)
        socket.connect(endpoint)
        self._channel = Channel(socket, receive, on_writable=on_writable)
        self.send = self._channel.send

    def close(self) -> None:
        """Send what is under way, and end."""
        self._channel.close(linger_ms=_LINGER_MS)
        self._context.term()
