"""What becomes of open calls when only the connection is lost, or the client itself stood still."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest

from fakes.supervisor import (
    DEADLINE_S,
    FakeSupervisor,
    World,
    begin,
    hurry,  # noqa: F401  # pytest finds it here
    world_fixture,  # noqa: F401  # pytest finds it here
)
from longwire_protocol.client import Client
from longwire_protocol.errors import CommandError, RetCode, SupervisorUnreachable
from longwire_protocol.messages import Ping, Reply, Request


async def created(supervisor: FakeSupervisor) -> Request:
    return await supervisor.expect(Request, lambda request: request.method == "message.create")


def reconnect(world: World) -> FakeSupervisor:
    """Cut the connection; the supervisor is the same afterwards."""
    world.kill_supervisor()
    return world.start_supervisor("first")


async def until_unwritable(client: Client) -> None:
    """Return when the client's socket knows that nobody is there, and a ping waits for somebody."""
    async with asyncio.timeout(DEADLINE_S):
        while not client._is_ping_due:  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.01)


async def test_a_lost_connection_has_calls_with_a_key_asked_again_and_tells_those_without(
    world: World,
) -> None:
    async with Client(world.endpoint) as client:
        with_key = begin(client.call("message.create", {"n": 1}, idempotency_key="k", deadline_s=DEADLINE_S))
        first = await created(world.supervisor)
        without = begin(client.call("message.create", {"n": 2}, deadline_s=DEADLINE_S))
        await created(world.supervisor)
        same = reconnect(world)
        again = await created(same)
        assert (again.params, again.idempotency_key) == ({"n": 1}, "k")
        assert again.id != first.id
        with pytest.raises(SupervisorUnreachable, match=r"connection was lost.*not known"):
            await without
        same.send(Reply(id=again.id, status="ok", data="once"))
        assert await with_key == "once"
        assert [request.params for request in same.of(Request) if request.method == "message.create"] == [
            {"n": 1}
        ]


@pytest.mark.parametrize("supervisor_id", ["first", "second"])
async def test_a_call_without_a_key_that_nobody_had_taken_is_not_given_up_for_one_that_was(
    world: World, supervisor_id: str
) -> None:
    """It waits from before the ping that finds the new connection, and goes out behind it."""
    async with Client(world.endpoint) as client:
        world.kill_supervisor()
        await until_unwritable(client)
        calls = [begin(client.call("message.create", {"n": n}, deadline_s=DEADLINE_S)) for n in range(2)]
        await asyncio.sleep(0)
        supervisor = world.start_supervisor(supervisor_id)
        taken = [await created(supervisor) for _ in calls]
        for _ in range(2):
            await supervisor.expect(Ping)  # so the pong to the first was read
        assert not [call for call in calls if call.done()]
        for request in taken:
            supervisor.send(Reply(id=request.id, status="ok", data=request.params["n"]))
        assert await asyncio.gather(*calls) == [0, 1]


async def test_an_answer_that_comes_soon_after_the_deadline_is_the_answer(world: World) -> None:
    async with Client(world.endpoint) as client:
        call = begin(client.call("message.create", {"n": 1}, deadline_s=0.05))
        request = await created(world.supervisor)
        await asyncio.sleep(0.2)
        text = "not carried out by its deadline"
        expired = Reply(id=request.id, status="failed", retcode=RetCode.DEADLINE_EXCEEDED, message=text)
        world.supervisor.send(expired)
        with pytest.raises(CommandError, match=text):
            await call


async def test_an_answer_that_came_while_the_client_stood_still_is_the_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop finds the deadline over and the answer unread, in one turn."""
    monkeypatch.setattr("longwire_protocol.calls._LATE_LOOK_S", 0.05)
    async with Client(world.endpoint) as client:
        call = begin(client.call("message.create", deadline_s=0.1))
        request = await created(world.supervisor)
        world.supervisor.send(Reply(id=request.id, status="ok", data=7))
        time.sleep(0.5)  # noqa: ASYNC251  as a SIGSTOP would, for longer than a late answer is waited for
        assert await call == 7


async def test_a_client_that_stood_still_beyond_its_deadline_and_lost_its_connection_asks_by_key(
    world: World,
) -> None:
    async with Client(world.endpoint) as client:
        call = begin(client.call("message.create", idempotency_key="k", deadline_s=0.2))
        await created(world.supervisor)
        same = reconnect(world)
        time.sleep(0.5)  # noqa: ASYNC251  see above
        again = await created(same)
        assert again.deadline_ms == 1
        same.send(Reply(id=again.id, status="ok", data="what became of it"))
        assert await call == "what became of it"


async def test_no_room_for_what_is_asked_again_is_not_taken_for_its_refusal(world: World) -> None:
    """The supervisor has many requests of this client already; this one may have had its effect."""
    full = Reply(id=0, status="failed", retcode=RetCode.SATURATED, message="later", retry_after_ms=1)
    async with Client(world.endpoint) as client:
        call = begin(client.call("message.create", {"n": 1}, idempotency_key="k", deadline_s=DEADLINE_S))
        await created(world.supervisor)
        same = reconnect(world)
        for _ in range(2):
            same.send(msgspec.structs.replace(full, id=(await created(same)).id))
        same.send(Reply(id=(await created(same)).id, status="ok", data="once"))
        assert await call == "once"
        refused = begin(client.call("message.create", {"n": 2}, idempotency_key="j", deadline_s=DEADLINE_S))
        same.send(msgspec.structs.replace(full, id=(await created(same)).id))
        with pytest.raises(CommandError, match="later"):  # it was never taken: that is its answer
            await refused
