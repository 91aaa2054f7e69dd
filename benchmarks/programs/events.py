"""What every producer sends and every subscriber counts: the same events, the same work, the same report."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator

import msgspec

from longwire_protocol.codec import encode_event
from longwire_protocol.event import Bot, Chat, Event, Segment, Sender

TEXT_BYTES = 46
"""Of the text, which stands in an event twice: with all else the body, as MessagePack, has 500 bytes."""

BATCH = 512
"""Events that a producer makes at once, as many as a child sends in one frame at most."""

CHATS = 50
_DIGITS = 32
"""Of an id, 128 bits; in a ready-made body it is replaced by a new one."""

Made = list[tuple[str, bytes]]
"""Events: a random id, by which duplicates are known, and the body."""


def batches(count: int) -> Iterator[Made]:
    """Yield `count` events in batches.

    A body is a ready-made one with a new id in it, which costs a tenth of what a child of Longwire does: it
    makes and encodes each event. The first event of a batch tells truly when it was made.
    """
    for begin in range(0, count, BATCH):
        head, tail = _body()
        size = min(BATCH, count - begin)
        digits = os.urandom(_DIGITS // 2 * size).hex()
        ids = [digits[at : at + _DIGITS] for at in range(0, len(digits), _DIGITS)]
        yield [(new, b"".join((head, new.encode(), tail))) for new in ids]


def _body() -> tuple[bytes, bytes]:
    """Return what stands before and behind the id in the body of an event that happens now."""
    digits, now, text = "0" * _DIGITS, time.time(), "1".ljust(TEXT_BYTES, ".")
    event = Event(
        id=digits,
        type="message.created",
        time=now,
        recv_time=now,
        tenant="acme",
        account="loop",
        platform="loopback",
        bot=Bot(id="loopback-bot", name="Loopback"),
        chat=Chat(id="loopback-1", type="private"),
        sender=Sender(id="loopback-peer", name="Peer", is_bot=False),
        message_id="1" * _DIGITS,
        text=text,
        to_me=True,
        segments=[Segment("text", {"text": text})],
        raw={"number": 1_000_000},
        dedup_key="m:" + "1" * _DIGITS,
    )
    head, _, tail = encode_event(event).partition(digits.encode())
    return head, tail


class Tally:
    """Counts what a subscriber took, and reports it; made just before the first event is asked for."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._opened_at = time.time()
        self._decode = msgspec.msgpack.Decoder(Event).decode
        self._cpu_s = time.process_time()
        self._first: Event | None = None
        self._first_at = 0.0
        self._bytes = 0
        self.count = 0

    @property
    def is_complete(self) -> bool:
        """Whether all that was wanted has come."""
        return self.count >= self._wanted

    def take(self, body: bytes | msgspec.Raw) -> Event:
        """Decode an event and count it."""
        event = self._decode(body)
        self.count_in(event)
        self._bytes += len(memoryview(body))
        return event

    def count_in(self, event: Event) -> None:
        """Count an event that was decoded already; one that comes again does not count again."""
        if event.delivery is not None and event.delivery.redelivered:
            return
        if self._first is None:
            self._first, self._first_at = event, time.time()
        self.count += 1

    def report(self) -> None:
        """Print what was counted, after the last ack."""
        assert self._first is not None
        found = {
            "events": self.count,
            "opened_at": self._opened_at,
            "first_at": self._first_at,
            "first_made_at": self._first.recv_time,
            "ended_at": time.time(),
            "cpu_s": time.process_time() - self._cpu_s,
            "event_bytes": self._bytes / self.count,
        }
        print(json.dumps(found), flush=True)


def say_ready() -> None:
    """Tell who started this program that it waits for events."""
    print("ready", flush=True)


def report_cpu() -> None:
    """Print what producing cost, start of the interpreter included."""
    print(json.dumps({"cpu_s": time.process_time()}), flush=True)
