"""Connecting for practice, in a template: what has run once costs each child less.

A page that a child writes is copied. Python writes where code runs for the first times: it counts the calls,
specialises the instructions and notes what it found, beside the code and in types and dictionaries. A
template that has itself been a child, with a simulator and a parent in its own process, has most of that
behind it: its children copy 2 MB less each, and connect sooner. Nothing is left but what Python learned.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from secrets import token_hex
from typing import Any

import msgspec
import zmq

from longwire_connectors.base import Connector
from longwire_connectors.runtime import Child
from longwire_connectors.simulator.admin_client import SimulatorClient
from longwire_connectors.simulator.injections import DingTalkEvent, LarkEvent
from longwire_connectors.simulator.server import Simulator
from longwire_protocol.channel import Channel, new_socket
from longwire_protocol.codec import Decoder, encode
from longwire_protocol.frames import (
    Bootstrap,
    Connect,
    FromChild,
    HandOver,
    Hello,
    Identity,
    LinkLost,
    LinkUp,
    Stop,
    Stored,
    ToChild,
)

_ROUNDS = 12
"""CPython 3.11 specialises what was called eight times, and then needs to see it run."""
_EVENTS = 10
"""In each round, one after the other."""
_TIMEOUT_S = 20.0
_GRACE_S = 2.0
_BEAT_S = 0.005
_AFTERWARDS_S = 0.25
"""How long after the last event a round waits for the identity, which is asked for beside the events."""
_HIGH_WATER = 100
_APP = "cli_0000000000000000"

_decode = Decoder[FromChild](FromChild)


def rehearse(connector: type[Connector]) -> bool:
    """Connect a few times; return whether this platform can be simulated at all.

    Raises:
        Exception: it did not work out; nothing is lost but time and memory.
    """
    part = _PARTS.get(connector.declaration.platform)
    if part is None:
        return False
    with _quiet(), _without_proxies():
        asyncio.run(_rehearse(connector, part))
    return True


class _Part(msgspec.Struct, frozen=True):
    options: Callable[[str], dict[str, Any]]
    """The account's options, for a simulator's URL."""
    happen: Callable[[SimulatorClient], Coroutine[Any, Any, Any]]
    """Has somebody write a message."""


_PARTS = {
    "lark": _Part(
        lambda url: {"app_id": _APP, "app_secret": "rehearsal", "domain": url},
        lambda simulator: simulator.inject_lark(LarkEvent(app=_APP, count=_EVENTS)),
    ),
    "dingtalk": _Part(
        lambda url: {"client_id": _APP, "client_secret": "rehearsal", "api_base": url},
        lambda simulator: simulator.inject_dingtalk(DingTalkEvent(app=_APP, count=_EVENTS)),
    ),
}


async def _rehearse(connector: type[Connector], part: _Part) -> None:
    async with (
        asyncio.timeout(_TIMEOUT_S),
        Simulator() as simulator,
        SimulatorClient(simulator.url) as steering,
        _parenting() as (parent, endpoint),
    ):
        for number in range(_ROUNDS):
            bootstrap = Bootstrap(
                account="rehearsal",
                tenant="rehearsal",
                connector=connector.declaration.platform,
                incarnation=number,
                endpoint=endpoint,
                token="",
                options=part.options(simulator.url),
                heartbeat_interval_s=_BEAT_S,
                link_timeout_s=60.0,
                is_link_timeout_explicit=False,
            )
            async with asyncio.TaskGroup() as tasks:
                parent.begin(lambda: tasks.create_task(part.happen(steering)))
                await Child(bootstrap, connector).run()
            parent.end()


@asynccontextmanager
async def _parenting() -> AsyncGenerator[tuple[_Parent, str]]:
    """Stand in for the supervisor at an endpoint; nothing of ZeroMQ is left afterwards."""
    endpoint = f"ipc://@longwire-rehearsal-{token_hex(16)}"  # no file: an abstract name, which Linux has
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        parent = _Parent(context, endpoint)
        try:
            yield parent, endpoint
        finally:
            parent.close()
    finally:
        context.destroy(linger=0)


class _Parent:
    """Says what a supervisor would, over a socket as a supervisor's: connect, stored, stop."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> None:
        socket = new_socket(context, zmq.ROUTER, high_water=_HIGH_WATER)
        socket.bind(endpoint)
        self._channel = Channel(socket, self._receive)
        self._loop = asyncio.get_running_loop()

    def begin(self, linked: Callable[[], object]) -> None:
        """Await the next child; `linked` is called once it is."""
        self._linked = linked
        self._awaited: set[type[FromChild]] = {Identity, HandOver}
        self._patience: asyncio.TimerHandle | None = None

    def end(self) -> None:
        """Await nothing of it any more."""
        if self._patience is not None:
            self._patience.cancel()

    def close(self) -> None:
        """Close the socket."""
        self._channel.close()

    def _receive(self, parts: list[bytes]) -> None:
        say = partial(self._say, parts[0])
        match _decode(parts[-1]):
            case Hello():
                say(Connect())
            case LinkUp():
                self._linked()
            case LinkLost():
                say(Stop(grace_s=_GRACE_S))
            case HandOver() as frame:
                number = frame.events[-1].number
                say(Stored(number))
                if number == _EVENTS:
                    self._patience = self._loop.call_later(_AFTERWARDS_S, say, Stop(grace_s=_GRACE_S))
                    self._seen(HandOver, say)
            case Identity():
                self._seen(Identity, say)
            case _:
                pass

    def _seen(self, kind: type[FromChild], say: Callable[[ToChild], object]) -> None:
        self._awaited.discard(kind)
        if not self._awaited:
            say(Stop(grace_s=_GRACE_S))

    def _say(self, child: bytes, frame: ToChild) -> None:
        self._channel.send((child, encode(frame)))


@contextmanager
def _quiet() -> Generator[None]:
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@contextmanager
def _without_proxies() -> Generator[None]:
    """Have nobody ask a proxy for the way to ourselves."""
    names = ("no_proxy", "NO_PROXY")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "127.0.0.1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
