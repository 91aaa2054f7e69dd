"""A client that sends commands with keys, as a program that can be killed at any moment.

    python sender.py ENDPOINT STORE

The store has a row for each command. It sends what has no answer yet, with the same key each time, until all
have one; an answer is on disk before it counts.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from contextlib import closing, suppress
from typing import Any

from longwire import Client, CommandError, SupervisorUnreachable

SCHEMA = """
CREATE TABLE IF NOT EXISTS commands (
    key TEXT PRIMARY KEY, account TEXT, chat TEXT, state TEXT, message_id TEXT
)
"""

_CONNECT_S = 40.0
_DEADLINE_S = 500.0
"""Beyond every kill: so that on Lark nothing has a reason to be uncertain."""

_AT_ONCE = 24
_AGAIN_S = 0.05


async def answer(client: Client, key: str, account: str, chat: str) -> tuple[str, str | None] | None:
    """Return the state and message id that the command ended with; `None` if it is to be asked for again."""
    try:
        data: dict[str, Any] = await client.call(
            "message.create",
            {"chat": chat, "text": key},
            account=account,
            idempotency_key=key,
            deadline_s=_DEADLINE_S,
        )
    except CommandError as exc:
        data = exc.data if isinstance(exc.data, dict) else {}
        return (data["state"], None) if "state" in data else None
    return None if data.keys() == {"receipt"} else ("done", data.get("message_id"))


async def send(client: Client, store: sqlite3.Connection) -> None:
    """Get an answer to each command."""
    waiting = iter(store.execute("SELECT key, account, chat FROM commands WHERE state IS NULL").fetchall())

    async def work() -> None:
        for key, account, chat in waiting:
            while (ended := await answer(client, key, account, chat)) is None:  # noqa: ASYNC110
                await asyncio.sleep(_AGAIN_S)
            with store:
                store.execute("UPDATE commands SET state = ?, message_id = ? WHERE key = ?", (*ended, key))

    async with asyncio.TaskGroup() as tasks:
        for number in range(_AT_ONCE):
            tasks.create_task(work(), name=f"sender {number}")


async def run(endpoint: str, store: sqlite3.Connection) -> None:
    """Send as long as there is a supervisor, and whenever there is one again, until all is answered."""
    while store.execute("SELECT 1 FROM commands WHERE state IS NULL").fetchone():
        with suppress(SupervisorUnreachable, ExceptionGroup):  # it was killed in the middle
            async with Client(endpoint, connect_timeout_s=_CONNECT_S) as client:
                await send(client, store)


if __name__ == "__main__":
    with closing(sqlite3.connect(sys.argv[2])) as file:
        asyncio.run(run(sys.argv[1], file))
