"""The floor under the supervisor's figures: `floor.py read BEATS REQUESTS`, `floor.py beat BEATS COUNT`."""

from __future__ import annotations

import asyncio
import sys

import zmq

from longwire_protocol.channel import Channel, new_socket
from longwire_protocol.codec import Decoder, encode
from longwire_protocol.frames import FromChild, Heartbeat, Phase
from longwire_protocol.link import LinkState
from longwire_protocol.messages import Reply, Request, ToSupervisor
from longwire_protocol.version import CLIENT_PROTOCOL

_HIGH_WATER = 10_000
_BEAT = encode(
    Heartbeat(
        at=1000.0,
        phase=Phase.IDLE,
        phase_age_s=1.0,
        link=LinkState.UP,
        socket_proof_age_s=1.0,
        platform_proof_age_s=1.0,
        platform_timeout_s=90.0,
        last_frame_age_s=1.0,
        last_event_age_s=None,
        unstored=0,
        counters={},
    )
)
_HELLO = {"protocol": CLIENT_PROTOCOL, "supervisor_id": "floor"}
_ACCOUNT = {f"field{n}": "a value of some length" for n in range(25)}


async def read(beats: str, requests: str) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    beat_socket = new_socket(context, zmq.ROUTER, high_water=_HIGH_WATER)
    beat_socket.bind(beats)
    decode_beat = Decoder[FromChild](FromChild)
    Channel(beat_socket, lambda parts: _ignore(decode_beat(parts[-1])))
    request_socket = new_socket(context, zmq.ROUTER, high_water=_HIGH_WATER)
    request_socket.bind(requests)
    decode_request = Decoder[ToSupervisor](ToSupervisor)

    def answer(parts: list[bytes]) -> None:
        request = decode_request(parts[-1])
        if isinstance(request, Request):
            is_hello = request.method == "hello"
            data = _HELLO if is_hello else [_ACCOUNT] * request.params.get("accounts", 1)
            channel.send((parts[0], encode(Reply(id=request.id, status="ok", data=data))))

    channel = Channel(request_socket, answer)
    await asyncio.Event().wait()


async def beat(beats: str, count: int) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sockets = [new_socket(context, zmq.DEALER, high_water=_HIGH_WATER) for _ in range(count)]
    for socket in sockets:
        socket.connect(beats)
    while True:
        for socket in sockets:
            socket.send(_BEAT, zmq.NOBLOCK)
            await asyncio.sleep(1 / count)


def _ignore(_: object) -> None:
    """It was read: that is what is measured."""


match sys.argv[1:]:
    case ["read", beats, requests]:
        asyncio.run(read(beats, requests))
    case ["beat", beats, count]:
        asyncio.run(beat(beats, int(count)))
    case _:
        sys.exit(__doc__)
