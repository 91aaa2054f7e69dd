"""Channels over real sockets: nothing lost, nothing out of order, and a full peer is told from a gone one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
import zmq

from longwire_protocol.channel import Channel, Sent, Socket, new_socket

Context: TypeAlias = "zmq.Context[zmq.Socket[bytes]]"

DEADLINE_S = 30.0
BIG = b"x" * 65536


@pytest.fixture
def context() -> Iterator[Context]:
    context: Context = zmq.Context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/channel.sock"


class Ear:
    """Keeps what it hears; `until` waits for a condition on it."""

    def __init__(self) -> None:
        self.heard: list[list[bytes]] = []
        self.writable = 0
        self._changed = asyncio.Event()

    def receive(self, parts: list[bytes]) -> None:
        self.heard.append(parts)
        self._changed.set()

    def on_writable(self) -> None:
        self.writable += 1
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what no callback tells."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110  the sockets' own threads do it, nobody here is told
            await asyncio.sleep(0.001)


def dealer(context: Context, endpoint: str, *, high_water: int = 1000, name: bytes = b"dealer") -> Socket:
    socket = new_socket(context, zmq.DEALER, high_water=high_water)
    socket.setsockopt(zmq.ROUTING_ID, name)
    socket.connect(endpoint)
    return socket


def router(context: Context, endpoint: str, *, high_water: int = 1000) -> Socket:
    socket = new_socket(context, zmq.ROUTER, high_water=high_water)
    socket.bind(endpoint)
    return socket


class Pump:
    """Sends numbered messages as fast as the channel takes them."""

    def __init__(self, count: int, *, address: bytes | None = None) -> None:
        self._left = iter(range(count))
        self._address = [] if address is None else [address]
        self._next: list[bytes] | None = None
        self.refused = 0
        self.is_done = False

    def push(self, channel: Channel) -> None:
        while not self.is_done:
            if self._next is None:
                number = next(self._left, None)
                if number is None:
                    self.is_done = True
                    return
                self._next = [*self._address, number.to_bytes(4, "big")]
            if channel.send(self._next) is not Sent.OK:
                self.refused += 1
                return
            self._next = None


async def test_a_flood_both_ways_arrives_complete_and_in_order(context: Context, endpoint: str) -> None:
    count = 20_000
    server_ear, client_ear = Ear(), Ear()
    server_pump, client_pump = Pump(count, address=b"dealer"), Pump(count)
    server = Channel(
        router(context, endpoint, high_water=100),
        server_ear.receive,
        on_writable=lambda: server_pump.push(server),
    )
    client = Channel(
        dealer(context, endpoint, high_water=100),
        client_ear.receive,
        on_writable=lambda: client_pump.push(client),
    )
    client_pump.push(client)
    await server_ear.until(lambda: bool(server_ear.heard))  # now the router knows the dealer
    server_pump.push(server)
    await server_ear.until(lambda: len(server_ear.heard) == count)
    await client_ear.until(lambda: len(client_ear.heard) == count)
    numbers = [n.to_bytes(4, "big") for n in range(count)]
    assert [parts[1] for parts in server_ear.heard] == numbers
    assert [parts[0] for parts in client_ear.heard] == numbers
    assert client_pump.refused > 0  # it was a flood: the high-water mark was met on the way
    server.close()
    client.close()


async def test_a_peer_that_does_not_read_is_full_and_room_is_told_when_it_reads_again(
    context: Context, endpoint: str
) -> None:
    server_ear, client_ear = Ear(), Ear()
    server = Channel(
        router(context, endpoint, high_water=4), server_ear.receive, on_writable=server_ear.on_writable
    )
    client = Channel(dealer(context, endpoint, high_water=4), client_ear.receive)
    client.send([b"here I am"])
    await server_ear.until(lambda: bool(server_ear.heard))
    client.pause()
    sent = 0
    while server.send([b"dealer", BIG]) is Sent.OK:
        sent += 1
    assert server.send([b"dealer", BIG]) is Sent.FULL
    assert server_ear.writable == 0
    client.resume()
    await client_ear.until(lambda: len(client_ear.heard) == sent)
    await server_ear.until(lambda: server_ear.writable > 0 and server.send([b"dealer", b"end"]) is Sent.OK)
    await client_ear.until(lambda: client_ear.heard[-1] == [b"end"])
    server.close()
    client.close()


async def test_a_full_channel_without_on_writable_has_no_timer(context: Context, endpoint: str) -> None:
    client = Channel(dealer(context, endpoint, high_water=1), lambda _: None)
    while client.send([BIG]) is Sent.OK:
        pass
    assert client._retry is None
    client.close()


async def test_an_unknown_peer_and_one_that_left_are_gone(context: Context, endpoint: str) -> None:
    ear = Ear()
    server = Channel(router(context, endpoint), ear.receive)
    assert server.send([b"nobody", b"hello"]) is Sent.GONE
    client = Channel(dealer(context, endpoint), lambda _: None)
    client.send([b"here I am"])
    await ear.until(lambda: bool(ear.heard))
    assert server.send([b"dealer", b"hello"]) is Sent.OK
    client.close()
    await until(lambda: server.send([b"dealer", b"hello"]) is Sent.GONE)
    server.close()


async def test_nothing_is_read_while_paused_and_everything_after_resume(
    context: Context, endpoint: str
) -> None:
    ear = Ear()
    socket = router(context, endpoint)
    server = Channel(socket, ear.receive)
    client = Channel(dealer(context, endpoint), lambda _: None)
    server.pause()
    for number in range(10):
        client.send([str(number).encode()])
    await until(lambda: bool(socket.poll(0)))
    server.drain(max_messages=100_000)
    assert ear.heard == []
    server.resume()
    await ear.until(lambda: len(ear.heard) == 10)
    assert [parts[1] for parts in ear.heard] == [str(number).encode() for number in range(10)]
    server.close()
    client.close()


async def test_a_receiver_may_pause_in_the_middle_of_a_batch(context: Context, endpoint: str) -> None:
    ear = Ear()

    def receive(parts: list[bytes]) -> None:
        ear.receive(parts)
        if len(ear.heard) == 3:
            server.pause()

    server = Channel(router(context, endpoint), receive)
    client = Channel(dealer(context, endpoint), lambda _: None)
    for number in range(5):
        client.send([str(number).encode()])
    await ear.until(lambda: len(ear.heard) == 3)
    server.drain(max_messages=100_000)
    assert len(ear.heard) == 3
    server.resume()
    await ear.until(lambda: len(ear.heard) == 5)
    server.close()
    client.close()


async def test_drain_reads_all_that_waits_at_once(context: Context, endpoint: str) -> None:
    ear = Ear()
    socket = router(context, endpoint, high_water=2000)
    server = Channel(socket, ear.receive)
    client = dealer(context, endpoint, high_water=2000)
    server.pause()  # the test's own waiting must not read them
    for number in range(1500):
        client.send(str(number).encode())
    client.send(b"last")
    other = dealer(context, endpoint, name=b"other")
    await until(lambda: bool(socket.poll(0)))
    server.resume()
    heard = 0
    while not ear.heard or ear.heard[-1][1] != b"last":  # its I/O thread may still be bringing them
        server.drain(max_messages=100_000)
        heard = max(heard, len(ear.heard))
    assert heard == 1501
    server.close()
    other.close(0)
    client.close(0)


async def test_a_batch_leaves_other_callbacks_their_turn_and_goes_on_by_itself(
    context: Context, endpoint: str
) -> None:
    count = 2000
    ear = Ear()
    turns: list[int] = []

    def receive(parts: list[bytes]) -> None:
        ear.receive(parts)
        if len(ear.heard) == 1:
            asyncio.get_running_loop().call_soon(lambda: turns.append(len(ear.heard)))

    socket = router(context, endpoint, high_water=count)
    server = Channel(socket, receive)
    client = dealer(context, endpoint, high_water=count)
    server.pause()
    for number in range(count):
        client.send(str(number).encode())
    await until(lambda: bool(socket.poll(0)))
    server.resume()
    await ear.until(lambda: len(ear.heard) == count)
    assert turns
    assert turns[0] < count
    server.close()
    client.close(0)


async def test_close_removes_the_reader_and_cancels_what_was_planned(context: Context, endpoint: str) -> None:
    loop = asyncio.get_running_loop()
    ear = Ear()
    socket = dealer(context, endpoint, high_water=1)
    fd = int(socket.getsockopt(zmq.FD))
    client = Channel(socket, ear.receive, on_writable=ear.on_writable)
    while client.send([BIG]) is Sent.OK:
        pass
    retry, look = client._retry, client._look
    assert retry is not None
    assert look is not None
    assert not client._socket.closed
    client.close()
    assert client._socket.closed
    assert retry.cancelled()
    assert look.cancelled()
    assert loop.remove_reader(fd) is False
    client.close()  # again changes nothing
    assert client.send([b"late"]) is Sent.GONE
    client.resume()
    client.drain(max_messages=100_000)
    assert client._look is None
    assert client._retry is None
    assert ear.writable == 0


async def test_a_receiver_may_close_the_channel(context: Context, endpoint: str) -> None:
    ear = Ear()

    def receive(parts: list[bytes]) -> None:
        ear.receive(parts)
        server.close()

    server = Channel(router(context, endpoint), receive)
    client = Channel(dealer(context, endpoint), lambda _: None)
    client.send([b"one"])
    client.send([b"two"])
    await ear.until(lambda: bool(ear.heard))
    assert server._socket.closed
    assert len(ear.heard) == 1
    client.close()


async def test_what_was_sent_before_close_arrives_within_the_linger(context: Context, endpoint: str) -> None:
    ear = Ear()
    server = Channel(router(context, endpoint), ear.receive)
    client = Channel(dealer(context, endpoint), lambda _: None)
    for number in range(100):
        client.send([str(number).encode()])
    client.close(linger_ms=10_000)
    await ear.until(lambda: len(ear.heard) == 100)
    server.close()


async def test_a_message_of_the_wrong_shape_for_the_socket_is_a_bug_and_raises(
    context: Context, endpoint: str
) -> None:
    socket = context.socket(zmq.REP)  # may not speak first
    socket.bind(endpoint)
    server = Channel(socket, lambda _: None)
    with pytest.raises(zmq.ZMQError):
        server.send([b"out of turn"])
    server.close()


async def test_a_channel_that_rests_reads_together_what_came_meanwhile(
    context: Context, endpoint: str
) -> None:
    received: list[bytes] = []
    server = Channel(router(context, endpoint), lambda parts: received.append(parts[-1]))
    server.rest_s = 0.2
    sender = dealer(context, endpoint)
    sender.send(b"first")
    await until(lambda: received == [b"first"])
    sender.send(b"second")
    sender.send(b"third")
    assert server._rest is not None
    assert await asyncio.to_thread(sender.poll, 50, zmq.POLLOUT)  # it has gone out
    assert received == [b"first"]
    await until(lambda: received == [b"first", b"second", b"third"])
    await until(lambda: server._rest is None)  # nothing came any more: it waits for the next message
    sender.send(b"fourth")
    await until(lambda: received[-1] == b"fourth")
    server.close()
    assert server._rest is None
    sender.close()
