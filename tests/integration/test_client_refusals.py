"""Requests that the supervisor cannot read: whoever asked is told at once, and the client goes on."""

from __future__ import annotations

import pytest

from fakes.supervisor import (
    DEADLINE_S,
    World,
    begin,
    hurry,  # noqa: F401  # pytest finds it here
    world_fixture,  # noqa: F401  # pytest finds it here
)
from longwire_protocol.client import Client
from longwire_protocol.codec import MAX_REQUEST_BYTES
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.messages import Error, Reply, Request


async def test_a_request_that_could_not_be_read_fails_at_once_and_no_other(world: World) -> None:
    async with Client(world.endpoint) as client:
        bad = begin(client.call("message.create", {"n": 1}, idempotency_key="k", deadline_s=DEADLINE_S))
        first = await world.supervisor.expect(Request, lambda request: request.params == {"n": 1})
        good = begin(client.call("message.create", {"n": 2}, deadline_s=DEADLINE_S))
        second = await world.supervisor.expect(Request, lambda request: request.params == {"n": 2})
        world.supervisor.send(Error("malformed", "Expected `object` - at `$.params`", id=first.id))
        world.supervisor.send(Error("malformed", "long over", id=12345))
        with pytest.raises(CommandError, match="params") as refused:
            await bad
        assert (refused.value.retcode, refused.value.retryable) == (RetCode.BAD_REQUEST, False)
        world.supervisor.send(Reply(id=second.id, status="ok", data="done"))
        assert await good == "done"


async def test_what_is_larger_than_a_frame_may_be_is_refused_before_it_is_sent(world: World) -> None:
    async with Client(world.endpoint) as client:
        with pytest.raises(CommandError, match="files go in chunks") as refused:
            await client.call("media.upload", {"data": bytes(MAX_REQUEST_BYTES)}, deadline_s=DEADLINE_S)
        assert refused.value.retcode == RetCode.BAD_PARAM
        going_on = begin(client.call("status", deadline_s=DEADLINE_S))
        asked = await world.supervisor.expect(Request, lambda request: request.method == "status")
        world.supervisor.send(Reply(id=asked.id, status="ok", data={}))
        assert await going_on == {}
        assert not [one for one in world.supervisor.of(Request) if one.method == "media.upload"]


@pytest.mark.parametrize(("value", "error"), [(object(), TypeError), (1 << 70, OverflowError)])
async def test_what_cannot_be_sent_is_its_callers_trouble_alone(
    world: World, value: object, error: type[Exception]
) -> None:
    async with Client(world.endpoint) as client:
        with pytest.raises(error):
            await client.call("message.create", {"x": value}, deadline_s=DEADLINE_S)
        going_on = begin(client.call("status", deadline_s=DEADLINE_S))
        asked = await world.supervisor.expect(Request, lambda request: request.method == "status")
        world.supervisor.send(Reply(id=asked.id, status="ok", data={}))
        assert await going_on == {}


async def test_a_deadline_that_is_none_is_refused(world: World) -> None:
    async with Client(world.endpoint) as client:
        with pytest.raises(CommandError, match="deadline_s must be more than 0"):
            await client.call("status", deadline_s=0)
