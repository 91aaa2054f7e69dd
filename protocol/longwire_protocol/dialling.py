"""The socket by which a client reaches its supervisor."""

from __future__ import annotations

import zmq

from longwire_protocol.channel import Socket, new_socket

_HIGH_WATER = 10_000
"""Frames queued for a supervisor that does not read; acks and credit are merged before that."""

_HANDSHAKE_MS = 3_000
"""After this a connection on which nobody answers is made anew; some round trips, CURVE's included. ZeroMQ's
own 30 s would be lost where a fork of a killed supervisor's host still holds its socket and is silent."""

LINGER_MS = 200
"""For the last acks; nothing waits for a supervisor that is away (`ZMQ_IMMEDIATE`)."""

_RECONNECT_MS, _RECONNECT_MAX_MS = 50, 1000


def dial(context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> Socket:
    """Return a DEALER that connects to the endpoint, and again whenever it has to.

    It takes a frame only when there is somebody to send it to: a request that nobody took by its deadline
    is not sent later.
    """
    socket = new_socket(context, zmq.DEALER, high_water=_HIGH_WATER)
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
    socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
    socket.connect(endpoint)
    return socket
