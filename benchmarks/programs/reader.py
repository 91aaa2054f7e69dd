"""A subscriber of Longwire: `reader.py client|raw ENDPOINT COUNT NAME`.

`client` is the Python `Client`, as a bot uses it. `raw` is a DEALER with msgspec that speaks the same
protocol (`docs/protocol.md`); it also reads from the raw pipeline.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec
import zmq
from events import Tally, say_ready

from longwire import Client
from longwire_protocol.channel import new_socket
from longwire_protocol.codec import encode
from longwire_protocol.messages import Ack, Credit, Events, Ping, Pong, Reply, Request, ToClient

CREDIT = 20_000
_HIGH_WATER = 10_000
_CONNECT_S = 60.0
_TYPES = ["message.created"]


async def read_as_client(endpoint: str, count: int, name: str) -> None:
    async with Client(endpoint, connect_timeout_s=_CONNECT_S) as client:
        tally = Tally(count)
        subscription = client.subscribe(name, start="all", types=_TYPES, credit=CREDIT)
        await subscription.open()
        say_ready()
        async for event in subscription:
            tally.count_in(event)
            await event.ack()
            if tally.is_complete:
                break
        tally.report()


def read_raw(endpoint: str, count: int, name: str) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = new_socket(context, zmq.DEALER, high_water=_HIGH_WATER)
    socket.connect(endpoint)
    decode = msgspec.msgpack.Decoder[ToClient](ToClient).decode
    params = {"name": name, "start": "all", "types": _TYPES, "credit": CREDIT}
    tally = Tally(count)
    socket.send(encode(Request(id=1, method="events.subscribe", params=params)))
    while not tally.is_complete:
        match decode(socket.recv()):
            case Events(events=events):
                seqs = [tally.take(event).seq or 0 for event in events]
                socket.send(encode(Ack(subscription=name, seqs=seqs)))
                socket.send(encode(Credit(name, len(seqs))))
            case Reply(status="ok"):
                say_ready()
            case Ping(id=number):
                socket.send(encode(Pong(id=number)))
            case other:
                sys.exit(f"unexpected: {other!r}")
    tally.report()
    socket.close(linger=1000)


match sys.argv[1:]:
    case ["client", endpoint, count, name]:
        asyncio.run(read_as_client(endpoint, int(count), name))
    case ["raw", endpoint, count, name]:
        read_raw(endpoint, int(count), name)
    case _:
        sys.exit(__doc__)
