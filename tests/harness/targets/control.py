"""What a test tells the process of targets: msgpack behind its length, on a Unix socket."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from harness.targets.behaviour import Behaviour

_LENGTH_BYTES = 4


class Open(msgspec.Struct, frozen=True, tag=True):
    """Make a target; the reply is its port."""

    name: str
    behaviour: Behaviour
    is_recording: bool
    """Whether arrivals are kept: else they are only counted, which costs less."""


class Behave(msgspec.Struct, frozen=True, tag=True):
    """Behave so from the next request on."""

    name: str
    behaviour: Behaviour


class Arrivals(msgspec.Struct, frozen=True, tag=True):
    """Return the arrivals of a target from this number on, oldest first."""

    name: str
    begin: int


class Tallies(msgspec.Struct, frozen=True, tag=True):
    """Return what all have seen, by name."""


class Cut(msgspec.Struct, frozen=True, tag=True):
    """Reset every connection of a target."""

    name: str


class Release(msgspec.Struct, frozen=True, tag=True):
    """Give the answers that a target holds."""

    name: str


Order = Open | Behave | Arrivals | Tallies | Cut | Release

_orders = msgspec.msgpack.Decoder(Order)


async def read(reader: asyncio.StreamReader) -> bytes:
    """Return the next frame.

    Raises:
        asyncio.IncompleteReadError: the other side has gone.
    """
    length = await reader.readexactly(_LENGTH_BYTES)
    return await reader.readexactly(int.from_bytes(length, "big"))


async def read_order(reader: asyncio.StreamReader) -> Order:
    """Return the next order; raises as `read` does."""
    return _orders.decode(await read(reader))


def write(writer: asyncio.StreamWriter, message: Any) -> None:
    """Write a frame."""
    frame = msgspec.msgpack.encode(message)
    writer.write(len(frame).to_bytes(_LENGTH_BYTES, "big") + frame)
