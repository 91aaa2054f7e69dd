"""A small supervisor made of the protocol alone, and what tests of the client do with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import msgspec
import pytest
import zmq

from longwire_protocol import client as client_module
from longwire_protocol import openings as openings_module
from longwire_protocol.channel import Channel, new_socket
from longwire_protocol.codec import Decoder, encode
from longwire_protocol.errors import CommandError, SupervisorUnreachable
from longwire_protocol.event import Bot, Chat, Delivery, Event, Sender
from longwire_protocol.messages import (
    Ack,
    Credit,
    Error,
    Events,
    Nack,
    Ping,
    Pong,
    Reply,
    Request,
    ToClient,
    ToSupervisor,
)
from longwire_protocol.subscription import IncomingEvent, Subscription

DEADLINE_S = 30.0
F = TypeVar("F")
Context: TypeAlias = "zmq.Context[zmq.Socket[bytes]]"


class FakeSupervisor:
    """A ROUTER that answers `hello`, `events.subscribe` and `events.unsubscribe`; a test answers the rest."""

    def __init__(self, context: Context, endpoint: str, *, supervisor_id: str = "first") -> None:
        self.supervisor_id = supervisor_id
        self.protocol = 1
        self.frames: list[ToSupervisor] = []
        self.client = b""
        self.since: str | int | None = None
        self.behind_subscribe: list[bytes] = []
        self.refusals: list[Reply] = []
        self.is_mute = False
        self.answers_nacks = True
        self.knows: set[str] = set()
        self._unnamed = 0
        self._seen: dict[type, int] = {}
        self._arrived = asyncio.Event()
        self._decode = Decoder[ToSupervisor](ToSupervisor)
        socket = new_socket(context, zmq.ROUTER, high_water=1000)
        socket.bind(endpoint)
        self.channel = Channel(socket, self._on_message)

    def send(self, frame: ToClient | bytes) -> None:
        body = frame if isinstance(frame, bytes) else encode(frame)
        self.channel.send([self.client, body])

    def deliver(self, *events: Event, subscription: str = "bot") -> None:
        self.send(Events(subscription, [msgspec.Raw(encode(event)) for event in events]))

    async def expect(self, kind: type[F], check: Callable[[F], bool] = lambda _: True) -> F:
        """Return the next frame of this kind that was not returned before and passes the check."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                start = self._seen.get(kind, 0)
                for place, frame in enumerate(self.frames[start:], start + 1):
                    if isinstance(frame, kind) and check(frame):
                        self._seen[kind] = place
                        return frame
                self._arrived.clear()
                await self._arrived.wait()

    def of(self, kind: type[F]) -> list[F]:
        return [frame for frame in self.frames if isinstance(frame, kind)]

    def subscribes(self) -> list[Request]:
        return [request for request in self.of(Request) if request.method == "events.subscribe"]

    def _on_message(self, parts: list[bytes]) -> None:
        frame = self._decode(parts[-1])
        if parts[0] != self.client:
            self.client, self.since = parts[0], None
        if isinstance(frame, Request | Ping) and self.since is None:
            self.since = frame.id
        self.frames.append(frame)
        self._arrived.set()
        if self.is_mute:
            return
        match frame:
            case Request(method="hello"):
                data = {"supervisor_id": self.supervisor_id, "version": "0", "protocol": self.protocol}
                self.send(Reply(id=frame.id, status="ok", data=data))
            case Request(method="events.subscribe"):
                self._subscribe(frame)
            case Request(method="events.unsubscribe"):
                self.knows.discard(frame.params["subscription"])
                self.send(Reply(id=frame.id, status="ok", data={}))
            case Ping():
                self.send(Pong(id=frame.id, supervisor_id=self.supervisor_id, since=self.since))
            case Ack() | Nack() | Credit():
                self._heard_of(frame)
            case _:
                pass

    def _heard_of(self, frame: Ack | Nack | Credit) -> None:
        if isinstance(frame, Nack) and self.answers_nacks and isinstance(frame.id, int):
            self.send(Pong(id=frame.id))
        if frame.subscription not in self.knows:
            self.send(Error("not_subscribed", "it is not open", frame.subscription))

    def _subscribe(self, request: Request) -> None:
        if self.refusals:
            self.send(msgspec.structs.replace(self.refusals.pop(0), id=request.id))
            return
        name = request.params.get("name")
        if name is None:
            self._unnamed += 1
            name = f"~{self.supervisor_id}-{self._unnamed}"
        self.knows.add(name)
        self.send(Reply(id=request.id, status="ok", data={"subscription": name, "next_seq": 1}))
        for frame in self.behind_subscribe:
            self.send(frame)


def make_event(
    seq: int | None, *, chat: str | None = "c1", attempt: int = 1, account: str = "acme-lark"
) -> Event:
    return Event(
        seq=seq,
        id=f"id-{seq}",
        type="message.created",
        time=1_700_000_000.25,
        recv_time=1_700_000_000.5,
        tenant="acme",
        account=account,
        platform="lark",
        bot=Bot(id="b1"),
        chat=None if chat is None else Chat(id=chat, type="group"),
        sender=Sender(id="u1"),
        message_id=f"m-{seq}",
        text=f"text {seq}",
        delivery=Delivery(attempt=attempt, redelivered=attempt > 1),
    )


class World:
    """The endpoint, and the supervisor that is there now."""

    def __init__(self, context: Context, endpoint: str) -> None:
        self.context = context
        self.endpoint = endpoint
        self.supervisor = FakeSupervisor(context, endpoint)

    def kill_supervisor(self) -> None:
        self.supervisor.channel.close()

    def start_supervisor(self, supervisor_id: str) -> FakeSupervisor:
        self.supervisor = FakeSupervisor(self.context, self.endpoint, supervisor_id=supervisor_id)
        return self.supervisor


@pytest.fixture(name="world")
async def world_fixture(tmp_path: Path) -> AsyncIterator[World]:
    context: Context = zmq.Context()
    world = World(context, f"ipc://{tmp_path}/longwire.sock")
    yield world
    world.kill_supervisor()
    context.term()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_PING_S", 0.05)
    monkeypatch.setattr(openings_module, "_REOPEN_S", 0.01)


T = TypeVar("T")


def begin(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    return asyncio.create_task(work, name="begun by a test")


async def take(subscription: Subscription, n: int) -> list[IncomingEvent]:
    async with asyncio.timeout(DEADLINE_S):
        return [await anext(subscription) for _ in range(n)]


async def ended(subscription: Subscription) -> BaseException:
    """Return what ends the iteration."""
    async with asyncio.timeout(DEADLINE_S):
        try:
            while True:
                await anext(subscription)
        except (StopAsyncIteration, CommandError, SupervisorUnreachable) as exc:
            return exc


def seqs(events: list[IncomingEvent]) -> list[int | None]:
    return [event.seq for event in events]


def is_subscribe(request: Request) -> bool:
    return request.method == "events.subscribe"


async def client_heard(world: World) -> None:
    """Return when the client has read all that was sent to it."""
    world.supervisor.send(Ping(id="heard"))
    await world.supervisor.expect(Pong, lambda pong: pong.id == "heard")


def has_acks(frame: ToSupervisor) -> bool:
    return isinstance(frame, Ack) and bool(frame.seqs)
