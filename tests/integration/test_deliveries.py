"""Subscriptions at the edge, with a real journal and clients that are found gone in the middle of a batch."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import zmq

from fakes.journal import Gate
from harness.waiting import until
from longwire.control import ClientPeer, Control, Port
from longwire.deliveries import Deliveries
from longwire.journal import Arrivals, Commit, Journal
from longwire_protocol.channel import Channel, Sent
from longwire_protocol.frames import HandedOver
from longwire_protocol.messages import Request

EVENTS, CHATS = 4000, 50


class Lines:
    """In place of a port's channel: the client «lost» is gone at the first frame of events it is sent."""

    def __init__(self, real: Channel) -> None:
        self._real = real
        self.kept: list[int] = []
        self.has_all = asyncio.Event()

    def send(self, parts: Sequence[bytes]) -> Sent:
        frame = msgspec.msgpack.decode(parts[1])
        if frame["kind"] != "events":
            return Sent.OK
        if parts[0] == b"lost":
            return Sent.GONE
        self.kept += [event["seq"] for event in frame["events"]]
        if len(set(self.kept)) == EVENTS:
            self.has_all.set()
        return Sent.OK

    def close(self, *, linger_ms: int = 0) -> None:
        self._real.close(linger_ms=linger_ms)


class Handler:
    """What of the service matters here."""

    deliveries: Deliveries

    def client_gone(self, client: ClientPeer) -> None:
        self.deliveries.client_gone(client)


async def filled(folder: Path) -> Journal:
    journal = await Journal.open(folder / "journal.sqlite3")
    await fill(journal, EVENTS)
    return journal


async def fill(journal: Journal, count: int) -> None:
    written: asyncio.Future[Commit] = asyncio.get_running_loop().create_future()
    body = msgspec.msgpack.encode({"v": 1})
    events = [HandedOver(n, "message.created", f"chat-{n % CHATS}", None, 0.0, body) for n in range(count)]
    journal.append(Arrivals("a", "t", events), done=written.set_result)
    await written


@asynccontextmanager
async def world(folder: Path) -> AsyncGenerator[tuple[Deliveries, Port, Lines], None]:
    journal = await filled(folder)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        handler = Handler()
        handler.deliveries = await Deliveries.open(journal, tasks)
        endpoint = f"ipc://{folder}/clients.sock"
        control = Control(
            context, [endpoint], handler=cast("Any", handler), tasks=tasks, supervisor_id="test"
        )
        (port,) = control._ports
        lines = Lines(port.channel)
        port.channel = cast("Channel", lines)
        yield handler.deliveries, port, lines
        handler.deliveries.close()
        port.blocked.clear()
        control.close()
    context.term()
    await journal.close()


async def subscribe(deliveries: Deliveries, port: Port, name: bytes) -> ClientPeer:
    client = port.clients[name] = ClientPeer(port, name)
    params = {"name": "shared", "start": "all", "credit": 0}
    await deliveries.subscribe(client, Request(id=1, method="events.subscribe", params=params))
    return client


async def test_a_client_lost_in_the_middle_of_a_batch_upsets_no_chats_order(tmp_path: Path) -> None:
    async with world(tmp_path) as (deliveries, port, lines):
        kept = await subscribe(deliveries, port, b"kept")
        lost = await subscribe(deliveries, port, b"lost")
        shared = deliveries._subscriptions["shared"]

        async def all_wait_for_credit() -> bool:
            return not shared.window.is_lagging

        await until(all_wait_for_credit, what="the window has read the journal")
        shared.window.add_credit(lost.id, EVENTS + 1)  # the most: it is sent to first
        shared.window.add_credit(kept.id, EVENTS)
        shared.pump()
        await lines.has_all.wait()
    by_chat: dict[int, list[int]] = defaultdict(list)
    for seq in lines.kept:
        by_chat[seq % CHATS].append(seq)
    assert all(seqs == sorted(seqs) for seqs in by_chat.values())


async def test_nobody_is_told_of_a_new_subscription_before_it_is_on_disk(tmp_path: Path) -> None:
    gate = Gate()
    gate.open.set()
    journal = await Journal.open(tmp_path / "journal.sqlite3", before_commit=gate)
    port = cast("Any", SimpleNamespace(clients={}, channel=SimpleNamespace(send=lambda _: Sent.OK)))
    async with asyncio.TaskGroup() as tasks:
        deliveries = await Deliveries.open(journal, tasks)
        gate.open.clear()
        asked = [tasks.create_task(subscribe(deliveries, port, name)) for name in (b"first", b"second")]
        await gate.wait_reached()
        await asyncio.wait(asked, timeout=0)
        assert port.clients[b"second"].subscriptions == set()
        assert not any(task.done() for task in asked)
        gate.open.set()
        for task in asked:
            assert (await task).subscriptions == {"shared"}
        deliveries.close()
    await journal.close()


class Ended(Exception):
    """How a supervisor leaves its group of tasks."""


async def test_what_is_committed_after_the_end_is_left_to_the_next_supervisor(tmp_path: Path) -> None:
    journal = await filled(tmp_path)
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    port = cast("Any", SimpleNamespace(clients={}, channel=SimpleNamespace(send=lambda _: Sent.OK)))
    try:
        async with asyncio.TaskGroup() as tasks:
            deliveries = await Deliveries.open(journal, tasks)
            await subscribe(deliveries, port, b"client")
            await asyncio.sleep(0)  # its reading of the journal begins
            assert deliveries._subscriptions["shared"].window.is_lagging
            deliveries.close()
            raise Ended  # noqa: TRY301  # the reading is cancelled
    except* Ended:
        pass
    await fill(journal, 1)
    assert complaints == []
    await journal.close()
