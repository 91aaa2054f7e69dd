"""A command that has not ended, as the outbox holds it, and the register of all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from longwire.outbox.command import Command
from longwire_protocol.deadlines import Deadlines

Waits = Deadlines[asyncio.Future[None]]
"""Until when whoever waits for a command does so."""


class Entry:
    """A command that has not ended, and who waits for what of it."""

    def __init__(self, command: Command, *, size_bytes: int = 0) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: list[asyncio.Future[None]] = []
        self.command = command
        """As it is."""
        self.last = command
        """As it is on disk."""
        self.size_bytes = size_bytes
        self.scope = command.scope
        """Under which it is known as long as it has not ended on disk."""
        self.accepted: asyncio.Future[None] = self._loop.create_future()
        """When it is on disk, or refused."""
        self.is_settled = False
        """Whether its end is on disk, or nothing more is done for it in this supervisor's time."""
        self.waits_for_disk = False
        """Whether its try begins when it is on disk."""
        self.is_written = False
        """Whether it was handed to the journal."""
        self.is_refused = False
        """Whether another command has its idempotency key."""
        self.is_overdue = False
        """Whether its deadline came before it was on disk."""

    def settle(self) -> None:
        """Let nobody wait for its end any more."""
        self.is_settled = True
        for waiter in self._waiting:
            wake(waiter)

    async def wait(self, waits: Waits, *, timeout_s: float) -> None:
        """Return when it is settled, or after the timeout."""
        if self.is_settled:
            return
        waiter = self._loop.create_future()
        self._waiting.append(waiter)
        waits.set(waiter, timeout_s)
        try:
            await waiter
        finally:
            waits.discard(waiter)
            self._waiting.remove(waiter)


class Register:
    """All that have not ended, by what they are asked for by."""

    def __init__(self) -> None:
        self.size_bytes = 0
        """Of all of them."""
        self._entries: dict[int, Entry] = {}
        self._by_receipt: dict[str, Entry] = {}
        self._by_scope: dict[bytes, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        """In the order in which they were accepted."""
        return iter(self._entries.values())

    def add(self, entry: Entry) -> None:
        """Hold it until `remove`."""
        self._entries[entry.command.number] = self._by_receipt[entry.command.receipt] = entry
        if entry.scope is not None:
            self._by_scope[entry.scope] = entry
        self.size_bytes += entry.size_bytes

    def remove(self, entry: Entry) -> None:
        """It has ended on disk, or was refused."""
        del self._entries[entry.command.number], self._by_receipt[entry.command.receipt]
        if entry.scope is not None:
            del self._by_scope[entry.scope]
        self.size_bytes -= entry.size_bytes

    def of_receipt(self, receipt: str) -> Entry | None:
        """Return the one with this receipt."""
        return self._by_receipt.get(receipt)

    def of_scope(self, scope: bytes | None) -> Entry | None:
        """Return the one whose idempotency key is unique in this; `None` is nobody's."""
        return None if scope is None else self._by_scope.get(scope)


def wake(waiter: asyncio.Future[None]) -> None:
    """Let it wait no longer."""
    if not waiter.done():
        waiter.set_result(None)
