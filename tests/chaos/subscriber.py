"""A subscriber with effects of its own, as a program that can be killed at any moment.

    python subscriber.py ENDPOINT STORE

It does what docs/protocol.md recommends under «Once in effect»: the effect of an event and its `seq` are one
transaction, the ack comes after it, and a `seq` that is known already is only acked. The effect is a row.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from contextlib import closing, suppress

from longwire import Client, SupervisorUnreachable
from longwire_protocol.subscription import IncomingEvent

_NAME = "chaos"
_CREDIT = 200
_CONNECT_S = 40.0

_SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS effects (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    seq INTEGER UNIQUE, id TEXT, type TEXT, account TEXT, chat TEXT, key TEXT
);
CREATE TABLE IF NOT EXISTS deliveries (id INTEGER PRIMARY KEY AUTOINCREMENT, seq INTEGER, event_id TEXT);
"""


def take(store: sqlite3.Connection, event: IncomingEvent) -> None:
    """Let the event have its effect, unless it had it before."""
    chat = None if event.chat is None else event.chat.id
    row = (event.seq, event.id, event.type, event.account, chat, event.dedup_key)
    with store:  # one transaction, on disk when this is left
        store.execute("INSERT INTO deliveries (seq, event_id) VALUES (?, ?)", row[:2])
        store.execute(
            "INSERT INTO effects (seq, id, type, account, chat, key) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (seq) DO NOTHING",
            row,
        )


async def read(endpoint: str, store: sqlite3.Connection) -> None:
    """Read as long as there is a supervisor, and whenever there is one again."""
    while True:
        with suppress(SupervisorUnreachable):  # it died between hello and the opening
            async with Client(endpoint, connect_timeout_s=_CONNECT_S) as client:
                async for event in client.subscribe(_NAME, start="all", credit=_CREDIT):
                    take(store, event)
                    await event.ack()


if __name__ == "__main__":
    with closing(sqlite3.connect(sys.argv[2])) as file:
        file.executescript(_SCHEMA)
        asyncio.run(read(sys.argv[1], file))
