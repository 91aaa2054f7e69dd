"""What becomes of open calls when the supervisor is restarted or falls silent, or the client is left."""

from __future__ import annotations

import asyncio

import pytest

from fakes.supervisor import (
    DEADLINE_S,
    FakeSupervisor,
    World,
    begin,
    client_heard,
    hurry,  # noqa: F401  # pytest finds it here
    make_event,
    take,
    world_fixture,  # noqa: F401  # pytest finds it here
)
from longwire_protocol import Accepted, ClientClosed
from longwire_protocol.client import Client
from longwire_protocol.errors import CommandError, RetCode, SupervisorUnreachable
from longwire_protocol.messages import Reply, Request


async def created(supervisor: FakeSupervisor) -> Request:
    return await supervisor.expect(Request, lambda request: request.method == "message.create")


async def test_a_call_with_a_key_is_asked_again_of_the_next_supervisor_with_what_is_left_of_its_deadline(
    world: World,
) -> None:
    async with Client(world.endpoint) as client:
        call = begin(client.call("message.create", {"n": 1}, idempotency_key="k", wait_ms=700, deadline_s=60))
        first = await created(world.supervisor)
        world.kill_supervisor()
        second = world.start_supervisor("second")
        again = await created(second)
        assert (again.params, again.idempotency_key, again.wait_ms) == ({"n": 1}, "k", 700)
        assert again.id != first.id
        assert again.deadline_ms is not None
        assert first.deadline_ms is not None
        assert 0 < again.deadline_ms < first.deadline_ms <= 60_000
        second.send(Reply(id=first.id, status="ok", data="of nobody"))
        second.send(Reply(id=again.id, status="ok", data="once"))
        assert await call == "once"


async def test_what_is_asked_again_goes_before_what_waited_meanwhile(world: World) -> None:
    async with Client(world.endpoint) as client:
        calls = [begin(client.call("message.create", {"n": n}, idempotency_key=f"{n}")) for n in range(3)]
        for _ in calls:
            await created(world.supervisor)
        client._calls._send = lambda _: False  # the socket is full
        calls.append(begin(client.call("message.create", {"n": 3})))
        await asyncio.sleep(0)
        client._calls.lost("another one", before=client._calls.new_id())
        client._calls._send = client._send
        client._calls.flush()
        again = [await created(world.supervisor) for _ in calls]
        assert [request.params["n"] for request in again] == [0, 1, 2, 3]
        for number, request in enumerate(again):
            world.supervisor.send(Reply(id=request.id, status="ok", data=number))
        assert await asyncio.gather(*calls) == [0, 1, 2, 3]


async def test_a_call_with_a_key_outlives_a_silence_that_fails_one_without(world: World) -> None:
    async with Client(world.endpoint) as client:
        world.supervisor.is_mute = True
        with_key = begin(client.call("message.create", idempotency_key="k", deadline_s=DEADLINE_S))
        await created(world.supervisor)
        with pytest.raises(SupervisorUnreachable, match="does not answer"):
            await client.call("status", deadline_s=DEADLINE_S)
        assert not with_key.done()
        world.kill_supervisor()
        second = world.start_supervisor("second")
        second.send(Reply(id=(await created(second)).id, status="ok", data=2))
        assert await with_key == 2


async def test_a_call_that_was_sent_once_and_finds_nobody_again_has_an_unknown_outcome(world: World) -> None:
    async with Client(world.endpoint) as client:
        call = begin(client.call("message.create", idempotency_key="k", deadline_s=0.5))
        await created(world.supervisor)
        client._calls._send = lambda _: False
        client._calls.lost("another one", before=client._calls.new_id())  # it waits now, and is never taken
        with pytest.raises(CommandError) as caught:
            await call
        assert caught.value.retcode == RetCode.DEADLINE_EXCEEDED


async def test_leaving_the_client_ends_its_calls_with_and_without_a_key(world: World) -> None:
    async with Client(world.endpoint) as client:
        calls = [begin(client.call("message.create", idempotency_key=key)) for key in ("k", None)]
        for _ in calls:
            await created(world.supervisor)
    for call in calls:
        with pytest.raises(ClientClosed, match="the client was closed"):
            await call
    with pytest.raises(ClientClosed):
        await client.call("status")


async def test_a_client_that_was_not_entered_says_so(world: World) -> None:
    client = Client(world.endpoint)
    with pytest.raises(ClientClosed, match="async with"):
        await client.call("status")
    with pytest.raises(ClientClosed, match="async with"):
        await anext(client.subscribe("bot"))


async def test_a_command_that_is_only_accepted_yields_its_receipt(world: World) -> None:
    async with Client(world.endpoint) as client:
        call = begin(client.send("acme-lark", "oc_1", "hi", idempotency_key="k", wait_ms=0))
        request = await created(world.supervisor)
        assert (request.idempotency_key, request.wait_ms) == ("k", 0)
        world.supervisor.send(Reply(id=request.id, status="accepted", data={"receipt": "r-1"}))
        answer = await call
        assert isinstance(answer, Accepted)
        assert answer.receipt == "r-1"
        assert answer == {"receipt": "r-1"}


async def test_an_outcome_is_not_taken_for_a_receipt(world: World) -> None:
    async with Client(world.endpoint) as client:
        call = begin(client.call("message.get", {"receipt": "r-1"}))
        request = await world.supervisor.expect(Request, lambda r: r.method == "message.get")
        world.supervisor.send(Reply(id=request.id, status="ok", data={"receipt": "r-1", "state": "done"}))
        assert not isinstance(await call, Accepted)


async def test_the_key_of_an_event_is_the_same_at_each_delivery_and_another_for_each_step_and_reader(
    world: World,
) -> None:
    async with Client(world.endpoint) as client:
        bot, other = client.subscribe("bot"), client.subscribe("other")
        for subscription in (bot, other):
            await subscription.open()
        world.supervisor.deliver(make_event(1), make_event(1, attempt=2))
        world.supervisor.deliver(make_event(1), subscription="other")
        await client_heard(world)
        (first,) = await take(bot, 1)
        (theirs,) = await take(other, 1)
        world.supervisor.deliver(make_event(1, attempt=3))
        (again,) = await take(bot, 1)
        assert first.key() == again.key() == "bot/id-1"
        assert len({first.key(), first.key("seen"), theirs.key(), theirs.key("seen")}) == 4
        call = begin(client.reply(first, text="hi", idempotency_key=first.key()))
        request = await created(world.supervisor)
        assert request.idempotency_key == "bot/id-1"
        world.supervisor.send(Reply(id=request.id, status="ok"))
        await call
