"""The diary: what this platform saw of its clients and did for them, in order, each with its moment.

The counters of ``/_sim/state`` say how often; the diary says when: who asked for a connection, when it
opened and closed, and each thing that was sent on it, from which a client may conclude that the platform
lives. So what a client claims of its link can be judged from the platform's side alone. Pure: the caller
brings the time.
"""

from collections import deque
from itertools import islice
from typing import Literal

import msgspec

__all__ = ["Diary", "Entry", "What"]

KEPT = 50_000
"""Entries that are kept: ten minutes of a hundred accounts that ping each other every second."""

What = Literal["asked", "opened", "paced", "pong", "ws_pong", "frame", "farewell", "closed"]
"""asked: for a connection, however it was answered. paced: Lark's PingInterval for this connection, at its
opening. pong: Lark's own, with the PingInterval in it. frame: pushed to the client. farewell: DingTalk's
SYSTEM disconnect. closed: the socket is gone, or its close frame was answered."""


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One moment; an array on the wire, because there are many."""

    number: int
    """From 1, leaving none out."""
    at: float
    """Unix seconds."""
    platform: Literal["lark", "dingtalk"]
    app: str
    connection: str
    """Empty for ``asked``."""
    what: What
    value: float | None = None
    """The PingInterval in seconds, None where none was sent that is a number."""


class Diary:
    """The newest entries of both platforms."""

    def __init__(self, *, kept: int = KEPT) -> None:
        self._entries: deque[Entry] = deque(maxlen=kept)
        self._written = 0

    def note(
        self,
        what: What,
        *,
        at: float,
        platform: Literal["lark", "dingtalk"],
        app: str,
        connection: str = "",
        value: object = None,
    ) -> None:
        """Write an entry; ``value`` may be whatever was sent in the place of a number."""
        self._written += 1
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        number = float(value) if is_number else None  # type: ignore[arg-type]
        self._entries.append(Entry(self._written, at, platform, app, connection, what, number))

    def after(self, number: int) -> list[Entry]:
        """Return what was written after that entry; what is kept no longer is missing at the front."""
        skipped = max(0, number - (self._written - len(self._entries)))
        return list(islice(self._entries, skipped, None))
