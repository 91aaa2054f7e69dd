"""The blocking client, on threads of the test, against a small supervisor made of the protocol alone."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from fakes.supervisor import (
    DEADLINE_S,
    World,
    begin,
    hurry,  # noqa: F401  # pytest finds it here
    is_subscribe,
    make_event,
    world_fixture,  # noqa: F401  # pytest finds it here
)
from longwire import ClientClosed, SupervisorUnreachable, SyncClient, WouldDeadlock
from longwire_protocol import SyncEvent
from longwire_protocol.messages import Ack, Error, Nack, Reply, Request

T = TypeVar("T")


def on_thread(blocking: Callable[[], T]) -> asyncio.Task[T]:
    return begin(asyncio.to_thread(blocking))


async def within(awaited: Awaitable[T]) -> T:
    async with asyncio.timeout(DEADLINE_S):
        return await awaited


async def asked(world: World, method: str) -> Request:
    return await world.supervisor.expect(Request, lambda request: request.method == method)


def outcome(blocking: Callable[[], object]) -> asyncio.Task[BaseException | None]:
    """Return what a blocking call raises, whatever it is: a task would take a cancellation for its own."""

    def catch() -> BaseException | None:
        try:
            blocking()
        except BaseException as exc:  # noqa: BLE001  it is what the test looks at
            return exc
        return None

    return on_thread(catch)


async def test_a_call_returns_the_data_of_its_reply(world: World) -> None:
    client = SyncClient(world.endpoint)
    call = on_thread(lambda: client.call("message.create", {"n": 1}, account="a", idempotency_key="k"))
    request = await asked(world, "message.create")
    assert (request.params, request.account, request.idempotency_key) == ({"n": 1}, "a", "k")
    world.supervisor.send(Reply(id=request.id, status="ok", data=3))
    assert await within(call) == 3
    await within(on_thread(client.close))
    with pytest.raises(ClientClosed):
        await within(on_thread(lambda: client.call("status")))


async def test_many_threads_open_one_connection(world: World) -> None:
    client = SyncClient(world.endpoint)
    calls = [on_thread(lambda: client.call("status")) for _ in range(4)]
    for number in range(4):
        world.supervisor.send(Reply(id=(await asked(world, "status")).id, status="ok", data=number))
    assert sorted(await within(asyncio.gather(*calls))) == [0, 1, 2, 3]
    assert [r.method for r in world.supervisor.of(Request)].count("hello") == 1
    await within(on_thread(client.close))


async def test_it_iterates_acks_and_answers(world: World) -> None:
    def work() -> list[int | None]:
        seen: list[int | None] = []
        with SyncClient(world.endpoint) as client, client.subscribe("bot") as events:
            for event in events:
                seen.append(event.seq)
                if event.text == "text 2":
                    event.nack(delay_s=0.5)
                    return seen
                client.reply(event, text="hi", idempotency_key=event.key("answer"))
                event.ack()
        return seen

    bot = on_thread(work)
    await world.supervisor.expect(Request, is_subscribe)
    world.supervisor.deliver(make_event(1), make_event(2))
    request = await asked(world, "message.create")
    assert (request.params["reply_to"], request.idempotency_key) == ("m-1", "bot/id-1/answer")
    world.supervisor.send(Reply(id=request.id, status="ok"))
    assert await within(bot) == [1, 2]
    await asked(world, "events.unsubscribe")
    assert [ack.seqs for ack in world.supervisor.of(Ack) if ack.seqs] == [[1]]
    assert [(nack.seq, nack.delay_ms) for nack in world.supervisor.of(Nack)] == [(2, 500)]


async def test_an_event_has_all_that_the_asynchronous_one_has(world: World) -> None:
    client = SyncClient(world.endpoint)
    events = await within(on_thread(lambda: client.subscribe("bot")))
    following = on_thread(lambda: next(events))
    await world.supervisor.expect(Request, is_subscribe)
    world.supervisor.deliver(make_event(7))
    event = await within(following)
    assert isinstance(event, SyncEvent)
    sent = make_event(7)
    assert {n: getattr(event, n) for n in event.__struct_fields__} == {
        n: getattr(sent, n) for n in sent.__struct_fields__
    }
    await within(on_thread(client.close))


async def test_waiting_for_an_event_can_be_limited_and_loses_none(world: World) -> None:
    client = SyncClient(world.endpoint)
    events = await within(on_thread(lambda: client.subscribe("bot")))
    with pytest.raises(TimeoutError):
        await within(on_thread(lambda: events.get(timeout_s=0.05)))
    await world.supervisor.expect(Request, is_subscribe)
    world.supervisor.deliver(make_event(1))
    assert (await within(on_thread(lambda: events.get(timeout_s=DEADLINE_S)))).seq == 1
    await within(on_thread(events.close))
    with pytest.raises(EOFError):
        await within(on_thread(events.get))
    assert await within(on_thread(lambda: list(events))) == []
    await within(on_thread(client.close))


async def test_closing_ends_what_other_threads_wait_for(world: World) -> None:
    client = SyncClient(world.endpoint)
    events = await within(on_thread(lambda: client.subscribe("bot")))
    reading = on_thread(lambda: list(events))
    await world.supervisor.expect(Request, is_subscribe)
    calling = outcome(lambda: client.call("message.create", idempotency_key="k"))
    await asked(world, "message.create")
    await within(on_thread(client.close))
    assert await within(reading) == []
    assert isinstance(await within(calling), ClientClosed)


async def test_a_cancelled_call_is_a_cancellation_and_the_client_goes_on(world: World) -> None:
    client, other = SyncClient(world.endpoint), SyncClient(world.endpoint)
    cancelled = outcome(lambda: client.call("message.create", {"n": 1}))
    await asked(world, "message.create")
    world.supervisor.frames.clear()
    world.supervisor._seen.clear()
    spared = on_thread(lambda: other.call("message.create", {"n": 2}))
    request = await asked(world, "message.create")
    client.cancel()
    raised = await within(cancelled)
    assert isinstance(raised, asyncio.CancelledError)
    assert not isinstance(raised, Exception)
    world.supervisor.send(Reply(id=request.id, status="ok", data="spared"))
    assert await within(spared) == "spared"
    after = on_thread(lambda: other.call("status"))
    world.supervisor.send(Reply(id=(await asked(world, "status")).id, status="ok", data=1))
    assert await within(after) == 1
    for each in (client, other):
        await within(on_thread(each.close))


async def test_nobody_there_is_said_each_time_until_somebody_is(world: World) -> None:
    world.kill_supervisor()
    client = SyncClient(world.endpoint, connect_timeout_s=0.05)
    for _ in range(2):
        with pytest.raises(SupervisorUnreachable):
            await within(on_thread(lambda: client.call("status")))
    second = world.start_supervisor("second")

    def insist() -> object:
        while True:
            try:
                return client.call("status")
            except SupervisorUnreachable:
                pass

    call = on_thread(insist)
    second.send(Reply(id=(await asked(world, "status")).id, status="ok", data=1))
    assert await within(call) == 1
    await within(on_thread(client.close))


async def test_a_client_can_be_closed_while_it_connects(world: World) -> None:
    world.supervisor.is_mute = True
    client = SyncClient(world.endpoint, connect_timeout_s=DEADLINE_S)
    entering = outcome(client.__enter__)
    await asked(world, "hello")
    await within(on_thread(client.close))
    assert isinstance(await within(entering), ClientClosed)


async def test_a_call_on_the_clients_own_thread_is_refused_at_once(world: World) -> None:
    client = SyncClient(world.endpoint)
    raised: list[BaseException] = []

    class Reporter(logging.Handler):
        def emit(self, _record: logging.LogRecord) -> None:
            try:
                client.call("status")
            except Exception as exc:  # noqa: BLE001  it is what the test looks at
                raised.append(exc)

    await within(on_thread(client.__enter__))
    reporter = Reporter()
    logging.getLogger("longwire.client").addHandler(reporter)
    try:
        world.supervisor.send(Error("malformed", "we could not read you"))
        call = on_thread(lambda: client.call("status"))
        world.supervisor.send(Reply(id=(await asked(world, "status")).id, status="ok", data=1))
        assert await within(call) == 1  # the thread is not stuck
    finally:
        logging.getLogger("longwire.client").removeHandler(reporter)
    assert [type(exc) for exc in raised] == [WouldDeadlock]
    await within(on_thread(client.close))


async def test_a_client_that_nobody_holds_any_more_is_left(world: World) -> None:
    def use_and_drop() -> None:
        client = SyncClient(world.endpoint)
        next(client.subscribe("bot"))

    using = on_thread(use_and_drop)
    await world.supervisor.expect(Request, is_subscribe)
    world.supervisor.deliver(make_event(1))
    await within(using)
    gc.collect()
    await asked(world, "events.unsubscribe")
