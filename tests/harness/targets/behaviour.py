"""How a target behaves to whoever posts to it."""

from __future__ import annotations

import msgspec


class Answer(msgspec.Struct, frozen=True, tag=True):
    """It answers this."""

    status: int = 200
    headers: dict[str, str] = {}
    body: str = ""
    delay_s: float = 0.0
    """From the request's last byte."""
    is_held: bool = False
    """Until the test releases it."""


class Silent(msgspec.Struct, frozen=True, tag=True):
    """It accepts, reads, and never says a word."""


class Unaccepting(msgspec.Struct, frozen=True, tag=True):
    """Its backlog is full and nobody accepts: the kernel leaves the caller's SYN unanswered.

    A target is so from its beginning to its end.
    """


class Drip(msgspec.Struct, frozen=True, tag=True):
    """It answers 200, one byte at a time, the head as well."""

    every_s: float = 1.0


class Reset(msgspec.Struct, frozen=True, tag=True):
    """It reads the request and resets the connection."""


class Endless(msgspec.Struct, frozen=True, tag=True):
    """It answers 200 with a body that does not end, as fast as it is read."""


class Flaky(msgspec.Struct, frozen=True, tag=True):
    """It answers 503 to some at random, and each after a random while."""

    seed: int
    failures: float
    """How many of all, 0 to 1."""
    max_delay_s: float


class InTurn(msgspec.Struct, frozen=True, tag=True):
    """It does these things, one for each request, and the last for ever."""

    steps: list[Answer | Silent | Reset | Drip | Endless]


Behaviour = Answer | Silent | Unaccepting | Drip | Reset | Endless | Flaky | InTurn


class Arrival(msgspec.Struct, frozen=True):
    """A request that a target has read to its end."""

    at: float
    """Unix time of its last byte."""
    connection: int
    """By which connection of the target: 1 for the first."""
    path: str
    headers: list[tuple[str, str]]
    """As they came, names in lower case."""
    body: bytes
    status: int
    """What it was or will be answered; 0 without an answer."""

    def header(self, name: str) -> str:
        """Return the one value of a header."""
        (value,) = (value for it, value in self.headers if it == name)
        return value


class Tally(msgspec.Struct):
    """What a target has seen so far."""

    arrivals: int = 0
    succeeded: int = 0
    """Arrivals that were or will be answered with 2xx."""
    answered: int = 0
    connections: int = 0
    """Made, all in all."""
    open: int = 0
    """Of them, still open."""
    malformed: int = 0
    """Connections that were left because they did not speak HTTP/1.1 with a Content-Length."""
    last_at: float = 0.0
    """Unix time of the last arrival."""
