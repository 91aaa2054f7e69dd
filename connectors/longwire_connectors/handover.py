"""Events on their way to the journal: numbered, batched, bounded, and known when they are on disk."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import msgspec

from longwire_protocol.channel import Sent
from longwire_protocol.codec import encode_event
from longwire_protocol.event import Event
from longwire_protocol.frames import HandedOver, HandOver

MAX_EVENTS = 8192
"""Events handed over and not yet stored, before the connector must stop reading its socket. 8192: 80 ms of
100,000 events/s, as long as a commit and the way there and back may take; each costs some 2 KB."""

MAX_BYTES = 8 * 1024 * 1024
"""The same bound in bytes; one event may exceed it when nothing else waits."""

MAX_EVENT_BYTES = 12 * 1024 * 1024
"""Largest event that fits every channel on its way (`codec.MAX_FRAME_BYTES`); of a larger one what
`without_raw` or `bare` leaves is handed over."""

_BATCH_EVENTS = 512
_BATCH_BYTES = 1024 * 1024


_SWEEP_S = 0.1
"""How much later than its deadline a hand-over may be given up."""


class _Waiting(msgspec.Struct, frozen=True):
    number: int
    size_bytes: int
    deadline: float
    stored: asyncio.Future[bool]


class HandOverWindow:
    """What was handed over and is not yet stored.

    Args:
        send: sends one frame to the parent without waiting.
        too_large: told type and bytes of each event that is not handed over in full.
    """

    def __init__(self, send: Callable[[HandOver], Sent], *, too_large: Callable[[str, int], None]) -> None:
        self._send = send
        self._too_large = too_large
        self._loop = asyncio.get_running_loop()
        self._outbox: deque[HandedOver] = deque()
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._number = 0
        self._flush: asyncio.Handle | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    @property
    def unstored(self) -> int:
        """How many events are not known to be on disk."""
        return len(self._waiting)

    def room(self) -> Awaitable[object]:
        """Wait until another event may be put."""
        return self._has_room.wait()

    async def empty(self) -> None:
        """Wait until every event is on disk."""
        await self._is_empty.wait()

    def put(self, event: Event, *, timeout_s: float) -> asyncio.Future[bool]:
        """Send `event` with whatever else this turn of the loop brings.

        Returns:
            A future of whether it is on disk; `False` once `timeout_s` seconds have gone by without that.
        """
        event, body = self._fitting(event)
        size_bytes = len(body)
        self._number += 1
        chat = event.chat.id if event.chat else None
        self._outbox.append(
            HandedOver(self._number, event.type, chat, event.dedup_key, event.recv_time, body)
        )
        stored: asyncio.Future[bool] = self._loop.create_future()
        self._waiting.append(_Waiting(self._number, size_bytes, self._loop.time() + timeout_s, stored))
        self._bytes += size_bytes
        self._is_empty.clear()
        if len(self._waiting) >= MAX_EVENTS or self._bytes >= MAX_BYTES:
            self._has_room.clear()
        if self._flush is None:
            self._flush = self._loop.call_soon(self.flush)
        if self._sweep is None:
            self._sweep = self._loop.call_later(_SWEEP_S, self._expire)
        return stored

    def flush(self) -> None:
        """Send what waits; what the parent's queue does not take waits for the next call."""
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        while self._outbox:
            batch = self._batch()
            if self._send(HandOver(batch)) is not Sent.OK:
                return
            for _ in batch:
                self._outbox.popleft()

    def stored(self, up_to: int) -> None:
        """Everything up to this number is on disk."""
        while self._waiting and self._waiting[0].number <= up_to:
            event = self._waiting.popleft()
            self._bytes -= event.size_bytes
            if not event.stored.done():
                event.stored.set_result(True)
        if len(self._waiting) < MAX_EVENTS and self._bytes < MAX_BYTES:
            self._has_room.set()
        if not self._waiting:
            self._is_empty.set()

    def close(self) -> None:
        """Look at no deadline any more."""
        if self._sweep is not None:
            self._sweep.cancel()

    def _fitting(self, event: Event) -> tuple[Event, bytes]:
        """Return the event, or as much of it as fits, and its encoded form."""
        body = encode_event(event)
        size_bytes = len(body)
        if size_bytes <= MAX_EVENT_BYTES:
            return event, body
        self._too_large(event.type, size_bytes)
        event = without_raw(event, size_bytes=size_bytes)
        body = encode_event(event)
        if len(body) > MAX_EVENT_BYTES:
            event = bare(event)
            body = encode_event(event)
        return event, body

    def _expire(self) -> None:
        """Answer those who waited long enough; one timer for all, as one each costs more than the event."""
        now = self._loop.time()
        for event in self._waiting:
            if event.deadline <= now and not event.stored.done():
                event.stored.set_result(False)
        self._sweep = self._loop.call_later(_SWEEP_S, self._expire) if self._waiting else None

    def _batch(self) -> list[HandedOver]:
        batch: list[HandedOver] = []
        size = 0
        for event in self._outbox:
            size += len(event.body)
            if batch and (size > _BATCH_BYTES or len(batch) >= _BATCH_EVENTS):
                break
            batch.append(event)
        return batch


def without_raw(event: Event, *, size_bytes: int) -> Event:
    """Return an event without the platform's own payload, which says once more what text and segments say."""
    raw = {"omitted": "too_large", "type": event.type, "size_bytes": size_bytes}
    return msgspec.structs.replace(event, raw=raw)


def bare(event: Event) -> Event:
    """Return what is left of an event that is too large even so: who, where and when, as `platform.raw`.

    A redelivery would be as large, so it is better acknowledged and seen than refused for hours.
    """
    return msgspec.structs.replace(event, type="platform.raw", text=None, segments=None, resources=None)
