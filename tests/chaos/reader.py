"""The durable subscriber of a campaign: it is closed and opened again, and notes what it got."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec

from harness.waiting import DEADLINE_S
from longwire import Client, SupervisorUnreachable
from longwire_protocol.subscription import IncomingEvent

_NAME = "chaos"
_CREDIT = 200


class Received(msgspec.Struct, frozen=True):
    """One event at its first delivery."""

    seq: int
    id: str
    type: str
    account: str
    chat: str | None
    key: str | None
    """What the platform's redeliveries of it have in common."""


class Reader:
    """Reads everything there is under one name, on a client of its own."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._task: asyncio.Task[None] | None = None
        self.received: dict[int, Received] = {}
        """By sequence number, in the order of first delivery."""
        self.deliveries = 0
        self.problems: list[str] = []

    async def open(self) -> None:
        """Begin to read, or go on."""
        self._task = asyncio.create_task(self._read(), name="chaos reader")

    async def close(self) -> None:
        """Stop reading at once, whatever is on its way."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _read(self) -> None:
        while True:
            with suppress(SupervisorUnreachable):  # it died between hello and the opening
                async with Client(self._endpoint, connect_timeout_s=DEADLINE_S) as client:
                    async for event in client.subscribe(_NAME, start="all", credit=_CREDIT):
                        self._note(event)
                        await event.ack()

    def _note(self, event: IncomingEvent) -> None:
        self.deliveries += 1
        chat = None if event.chat is None else event.chat.id
        assert event.seq is not None
        received = Received(event.seq, event.id, event.type, event.account, chat, event.dedup_key)
        known = self.received.setdefault(event.seq, received)
        if known != received:
            self.problems.append(f"one number, two events: {known} and {received}")
