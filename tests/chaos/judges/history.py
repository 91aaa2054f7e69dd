"""The platform's diary, read app by app."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import NamedTuple

import msgspec

from longwire_connectors.simulator.diary import Entry


class Pong(NamedTuple):
    """Lark's answer to its own ping."""

    at: float
    interval_s: float | None
    """The PingInterval in it, as it was sent."""


class Connection(msgspec.Struct):
    """One connection, as the platform saw it."""

    id: str
    interval_s: float | None = None
    """Lark's PingInterval at its opening."""
    opened_at: float = inf
    closed_at: float = inf
    farewell_at: float = inf
    """When DingTalk asked for another one."""
    sent: list[float] = []
    """When anything was sent on it: frames, pongs of both kinds."""
    frames: list[float] = []
    pongs: list[Pong] = []

    @property
    def lasted_s(self) -> float:
        """How long it was open; endless for one that still is."""
        return self.closed_at - self.opened_at


class History(msgspec.Struct):
    """One app's clients."""

    asked: list[float] = []
    """When they asked for a connection."""
    connections: list[Connection] = []
    """In the order of their opening."""


def read(entries: Iterable[Entry]) -> dict[str, History]:
    """Return the history of each app in the diary."""
    histories: dict[str, History] = {}
    connections: dict[str, Connection] = {}
    for entry in entries:
        history = histories.setdefault(entry.app, History())
        if entry.what == "asked":
            history.asked.append(entry.at)
            continue
        connection = connections.setdefault(entry.connection, Connection(entry.connection))
        _note(connection, entry)
        if entry.what == "opened":
            history.connections.append(connection)
    return histories


def _note(connection: Connection, entry: Entry) -> None:
    match entry.what:
        case "paced":
            connection.interval_s = entry.value
        case "opened":
            connection.opened_at = entry.at
        case "closed":
            connection.closed_at = entry.at
        case "farewell":
            connection.farewell_at = entry.at
        case "frame":
            connection.frames.append(entry.at)
        case "pong":
            connection.pongs.append(Pong(entry.at, entry.value))
    if entry.what in {"frame", "pong", "ws_pong", "farewell"}:
        connection.sent.append(entry.at)
