"""The raw pipeline, the limit of what durable delivery can reach.

`raw_pipeline.py store FOLDER` and `raw_pipeline.py produce FOLDER COUNT`.

A child sends the frames that a connector's child sends; this process reads them, writes all that waited into
the journal's own tables (the same dedup index, WAL, synchronous=FULL) in one commit with the subscriber's
position, says «stored», and sends the events on to one subscriber, `reader.py raw`, which decodes and acks.
There is no supervision, no account, no filter, no redelivery, no thread, no event loop.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import zmq
from events import BATCH, batches, report_cpu, say_ready
from journals import arrivals, handed_over, open_journal, tend

from longwire.journal.records import Arrivals, Stored
from longwire_protocol.channel import new_socket
from longwire_protocol.codec import Decoder, encode, with_delivery
from longwire_protocol.frames import FromChild, HandOver, ToChild
from longwire_protocol.frames import Stored as StoredFrame
from longwire_protocol.messages import Ack, Events, Reply, Request, ToSupervisor

_HIGH_WATER = 1000
_WINDOW = 16_384
"""Events under way from the child; wider than a connector's child has it, so that it limits nothing."""

_GROUP = 20_000
"""Most events of one commit."""

_UNACKED = 40_000
"""Events that the subscriber may have before no more are taken in."""


class Pipeline:
    """Child, journal and subscriber on one thread."""

    def __init__(self, folder: Path) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._children = new_socket(context, zmq.ROUTER, high_water=_HIGH_WATER)
        self._children.bind(child_endpoint(folder))
        self._clients = new_socket(context, zmq.ROUTER, high_water=_HIGH_WATER)
        self._clients.bind(client_endpoint(folder))
        self._of_child = Decoder[FromChild](FromChild)
        self._of_client = Decoder[ToSupervisor](ToSupervisor)
        self._journal = open_journal(folder)
        self._child = self._client = b""
        self._sent = self._acked = 0

    def run(self) -> None:
        """Carry events until the process is killed."""
        poller = zmq.Poller()
        poller.register(self._children, zmq.POLLIN)
        poller.register(self._clients, zmq.POLLIN)
        while True:
            poller.poll()
            self._take_acks()
            if self._sent - self._acked < _UNACKED and (taken := self._take_events()):
                self._store(taken)
            elif self._sent - self._acked >= _UNACKED:
                self._clients.poll()  # not `poller`: the child's events would wake it at once

    def _take_acks(self) -> None:
        for sender, frame in _waiting(self._clients):
            match self._of_client(frame):
                case Ack(seqs=seqs):
                    self._acked += len(seqs)
                case Request(id=number):
                    self._client = sender
                    self._clients.send_multipart((sender, encode(Reply(id=number, status="ok"))))
                case _:
                    pass  # credit: the window here is `_UNACKED`

    def _take_events(self) -> list[Arrivals]:
        taken: list[Arrivals] = []
        count = 0
        for sender, data in _waiting(self._children):
            frame = self._of_child(data)
            assert isinstance(frame, HandOver)
            self._child = sender
            taken.append(arrivals(frame.events))
            count += len(frame.events)
            if count >= _GROUP:
                break
        return taken

    def _store(self, taken: list[Arrivals]) -> None:
        commits = self._journal.commit(taken, states={"subscription/reader": encode(self._acked)})
        up_to = taken[-1].events[-1].number
        self._children.send_multipart((self._child, encode(StoredFrame(up_to))))
        for commit in commits:
            self._send(commit.stored)
        tend(self._journal)

    def _send(self, stored: list[Stored]) -> None:
        events = [msgspec.Raw(with_delivery(event.body, event.seq, attempt=1)) for event in stored]
        self._clients.send_multipart((self._client, encode(Events("reader", events))))
        self._sent += len(events)


def _waiting(socket: zmq.Socket[bytes]) -> Iterator[list[bytes]]:
    """Yield sender and frame of every message that waits."""
    while True:
        try:
            parts = socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return
        yield parts


def produce(folder: Path, count: int) -> None:
    """Send frames of ready-made events, as many as the window permits."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = new_socket(context, zmq.DEALER, high_water=_HIGH_WATER)
    socket.connect(child_endpoint(folder))
    decode = Decoder[ToChild](ToChild)
    number = stored = 0
    for batch in batches(count):
        while number + BATCH > stored + _WINDOW:
            frame = decode(socket.recv())
            assert isinstance(frame, StoredFrame)
            stored = frame.up_to
        events = handed_over(batch, first_number=number + 1)
        socket.send(encode(HandOver(events)))
        number += len(events)
    while stored < count:
        frame = decode(socket.recv())
        assert isinstance(frame, StoredFrame)
        stored = frame.up_to
    report_cpu()


def child_endpoint(folder: Path) -> str:
    return f"ipc://{folder}/children"


def client_endpoint(folder: Path) -> str:
    return f"ipc://{folder}/clients"


match sys.argv[1:]:
    case ["store", folder]:
        pipeline = Pipeline(Path(folder))
        say_ready()
        pipeline.run()
    case ["produce", folder, count]:
        produce(Path(folder), int(count))
    case _:
        sys.exit(__doc__)
