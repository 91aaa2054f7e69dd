"""The raw pipeline, the limit of what durable delivery can reach: `raw_pipeline.py store FOLDER SECONDS`.

A child sends the frames that a connector's child sends; this process reads them, writes all that waited into
the journal's own tables (the same dedup index, WAL, synchronous=FULL) in one commit, and says «stored». There
is no supervision, no subscription, no thread, no event loop.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import zmq

from longwire.journal.records import Arrival
from longwire.journal.schema import open_for_writing
from longwire.journal.store import Store
from longwire_protocol.channel import new_socket
from longwire_protocol.codec import Decoder, encode, encode_event
from longwire_protocol.event import Bot, Chat, Event, Segment, Sender
from longwire_protocol.frames import FromChild, HandedOver, HandOver, Stored, ToChild

_HIGH_WATER = 1000
_WINDOW, _BATCH = 16_384, 512
"""Frames as `longwire_connectors.handover` makes them; the window is wider, so that it limits nothing."""

_GROUP = 20_000
"""Most events of one commit."""

_CHATS = 50
_WARM_UP_S = 1.0
_DIGITS = 32
"""Of an id; in the ready-made body it is replaced by a new one."""


def store(folder: Path, seconds: float) -> None:
    endpoint = f"ipc://{folder}/raw"
    socket = new_socket(zmq.Context(), zmq.ROUTER, high_water=_HIGH_WATER)
    socket.bind(endpoint)
    child = subprocess.Popen([sys.executable, __file__, "produce", endpoint])
    try:
        journal = Store(open_for_writing(folder / "journal.sqlite3"))
        _store_for(_WARM_UP_S, socket, journal)
        begun, before = time.perf_counter(), journal.head
        size = _store_for(seconds, socket, journal)
        took, events = time.perf_counter() - begun, journal.head - before
        print(json.dumps({"events": events, "seconds": took, "event_bytes": size}))
    finally:
        child.kill()
        child.wait()


def _store_for(seconds: float, socket: zmq.Socket[bytes], journal: Store) -> float:
    """Store what comes for so long; return the mean size of the last event bodies in bytes."""
    decode = Decoder[FromChild](FromChild)
    arrivals: list[Arrival] = []
    size = 0.0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        arrivals.clear()
        sender = _take_all(socket, decode, arrivals)
        journal.commit(arrivals, states={})
        if journal.is_merge_due:
            journal.merge()
        socket.send_multipart((sender, encode(Stored(arrivals[-1].number))))
        size = sum(len(arrival.body) for arrival in arrivals) / len(arrivals)
    return size


def _take_all(socket: zmq.Socket[bytes], decode: Decoder[FromChild], arrivals: list[Arrival]) -> bytes:
    """Read all that waits, at least one frame; return who sent it."""
    sender, frame = socket.recv_multipart()
    while True:
        events = decode(frame)
        assert isinstance(events, HandOver)
        arrivals += [
            Arrival("raw", "acme", 1, e.number, e.type, e.chat, e.dedup_key, e.recv_time, e.body)
            for e in events.events
        ]
        if len(arrivals) >= _GROUP:
            return sender
        try:
            sender, frame = socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return sender


def produce(endpoint: str) -> None:
    """Send frames of ready-made events with new ids, as many as the window permits, for ever."""
    socket = new_socket(zmq.Context(), zmq.DEALER, high_water=_HIGH_WATER)
    socket.connect(endpoint)
    decode = Decoder[ToChild](ToChild)
    head, tail = _body()
    number = stored = 0
    while True:
        while number + _BATCH <= stored + _WINDOW:
            events = [_event(number + n, head, tail) for n in range(1, _BATCH + 1)]
            socket.send(encode(HandOver(events)))
            number += _BATCH
        frame = decode(socket.recv())
        assert isinstance(frame, Stored)
        stored = frame.up_to


def _event(number: int, head: bytes, tail: bytes) -> HandedOver:
    digits = uuid4().hex
    body = b"".join((head, digits.encode(), tail))
    return HandedOver(
        number, "message.created", f"loopback-{number % _CHATS}", f"m:{digits}", time.time(), body
    )


def _body() -> tuple[bytes, bytes]:
    """Return what stands before and behind the id in the body of an event."""
    digits, now, text = "0" * _DIGITS, time.time(), "1".ljust(52, ".")
    event = Event(
        id=digits,
        type="message.created",
        time=now,
        recv_time=now,
        tenant="acme",
        account="raw",
        platform="loopback",
        bot=Bot(id="loopback-bot", name="Loopback"),
        chat=Chat(id="loopback-1", type="private"),
        sender=Sender(id="loopback-peer", name="Peer", is_bot=False),
        message_id="1" * _DIGITS,
        text=text,
        to_me=True,
        segments=[Segment("text", {"text": text})],
        raw={"number": 1},
        dedup_key="m:" + "1" * _DIGITS,
    )
    head, _, tail = encode_event(event).partition(digits.encode())
    return head, tail


match sys.argv[1:]:
    case ["store", folder, seconds]:
        store(Path(folder), float(seconds))
    case ["produce", endpoint]:
        produce(endpoint)
    case _:
        sys.exit(__doc__)
