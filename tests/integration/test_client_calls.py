"""The client's hello, its calls and its pings, against a small supervisor made of the protocol alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from fakes.supervisor import (
    DEADLINE_S,
    World,
    begin,
    hurry,  # noqa: F401  # pytest finds it here
    make_event,
    seqs,
    take,
    world_fixture,  # noqa: F401  # pytest finds it here
)
from longwire_protocol.client import Client
from longwire_protocol.codec import encode
from longwire_protocol.errors import CommandError, RetCode, SupervisorUnreachable
from longwire_protocol.event import Event
from longwire_protocol.messages import Error, Events, Ping, Pong, Reply, Request


async def test_a_client_says_hello_and_leaves_no_task_behind(world: World) -> None:
    before = asyncio.all_tasks()
    async with Client(world.endpoint):
        assert (await world.supervisor.expect(Request)).method == "hello"
    assert asyncio.all_tasks() == before


async def test_a_supervisor_may_come_after_its_client(world: World) -> None:
    world.kill_supervisor()
    client = Client(world.endpoint, connect_timeout_s=DEADLINE_S)
    entering = begin(client.__aenter__())
    await asyncio.sleep(0)  # the request is made before there is anybody
    world.start_supervisor("late")
    await entering
    await client.__aexit__(None, None, None)


async def test_where_nobody_answers_the_supervisor_is_unreachable(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/nobody.sock"
    with pytest.raises(SupervisorUnreachable, match=r"nobody\.sock"):
        async with Client(endpoint, connect_timeout_s=0.05):
            pass


async def test_a_supervisor_that_takes_the_hello_and_does_not_answer_is_unreachable(world: World) -> None:
    world.supervisor.is_mute = True
    with pytest.raises(SupervisorUnreachable, match="no outcome of hello"):
        async with Client(world.endpoint, connect_timeout_s=0.2):
            pass


async def test_a_supervisor_of_another_protocol_is_refused(world: World) -> None:
    world.supervisor.protocol = 2
    with pytest.raises(SupervisorUnreachable, match="speaks version 2"):
        async with Client(world.endpoint):
            pass


async def test_a_call_returns_the_data_of_its_reply(world: World) -> None:
    async with Client(world.endpoint) as client:
        call = begin(
            client.call(
                "message.create",
                {"chat": "c", "text": "t"},
                account="a",
                tenant="acme",
                idempotency_key="k",
                deadline_s=7,
            )
        )
        request = await world.supervisor.expect(Request, lambda r: r.method == "message.create")
        world.supervisor.send(Reply(id="not mine", status="ok"))
        world.supervisor.send(Reply(id=999_999, status="ok"))
        world.supervisor.send(Reply(id=request.id, status="ok", data={"message_id": "m"}))
        assert await call == {"message_id": "m"}
        assert request.params == {"chat": "c", "text": "t"}
        assert (request.account, request.tenant, request.idempotency_key) == ("a", "acme", "k")
        assert request.deadline_ms == 7000
        world.supervisor.send(Reply(id=request.id, status="ok"))  # once more: nobody minds


async def test_a_refusal_raises_with_everything_the_reply_says(world: World) -> None:
    async with Client(world.endpoint) as client:
        call = begin(client.send("a", "c", "t"))
        request = await world.supervisor.expect(Request, lambda r: r.method == "message.create")
        world.supervisor.send(
            Reply(
                id=request.id,
                status="failed",
                retcode=34003,
                message="slower",
                retryable=True,
                retry_after_ms=1500,
                data={"platform_code": 99991400},
            )
        )
        with pytest.raises(CommandError, match="slower") as caught:
            await call
        error = caught.value
        assert (error.retcode, error.retryable, error.retry_after_ms) == (34003, True, 1500)
        assert error.data == {"platform_code": 99991400}


async def test_a_call_without_an_outcome_by_its_deadline_fails(world: World) -> None:
    async with Client(world.endpoint) as client:
        with pytest.raises(CommandError) as caught:
            await client.call("status", deadline_s=0.05)
        assert caught.value.retcode == RetCode.DEADLINE_EXCEEDED


async def test_a_request_nobody_took_by_its_deadline_is_never_sent(world: World) -> None:
    async with Client(world.endpoint) as client:
        world.kill_supervisor()
        for _ in range(3):  # until the client's socket knows
            with pytest.raises((SupervisorUnreachable, CommandError)):
                await client.call("message.create", {"n": 1}, deadline_s=0.1)
        with pytest.raises(SupervisorUnreachable, match="takes requests"):
            await client.call("message.create", {"n": 2}, deadline_s=0.1)
        second = world.start_supervisor("second")
        await second.expect(Ping)
        call = begin(client.call("status"))
        request = await second.expect(Request)
        assert request.method == "status"
        second.send(Reply(id=request.id, status="ok"))
        await call


async def test_too_many_requests_for_a_supervisor_that_is_away_are_refused_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longwire_protocol.calls._MAX_WAITING", 2)
    async with Client(world.endpoint) as client:
        client._channel.send([encode(Ping())])
        monkeypatch.setattr(client._calls, "_send", lambda _: False)
        waiting = [begin(client.call("status", deadline_s=0.3)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(CommandError) as caught:
            await client.call("status")
        assert caught.value.retcode == RetCode.SATURATED
        assert caught.value.retryable
        for result in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(result, SupervisorUnreachable)


async def test_reply_answers_where_the_message_was_written(world: World) -> None:
    async with Client(world.endpoint) as client:
        for number, (event, params) in enumerate(
            [
                (
                    make_event(7),
                    {
                        "text": "hi",
                        "chat": {"id": "c1", "type": "group"},
                        "user": "u1",
                        "reply_to": "m-7",
                    },
                ),
                (
                    Event(
                        id="x",
                        type="t",
                        time=1.0,
                        recv_time=1.0,
                        tenant="t",
                        account="acme-lark",
                        platform="p",
                    ),
                    {"text": "hi"},
                ),
            ]
        ):
            call = begin(client.reply(event, text="hi"))
            request = await world.supervisor.expect(Request, lambda r: r.method == "message.create")
            world.supervisor.send(Reply(id=request.id, status="accepted", data=number))
            assert await call == number
            assert (request.account, request.params) == ("acme-lark", params)


async def test_a_ping_of_the_supervisor_is_answered_with_its_id(world: World) -> None:
    async with Client(world.endpoint):
        world.supervisor.send(Ping(id="are you there"))
        assert (await world.supervisor.expect(Pong)).id == "are you there"


async def test_an_unreadable_frame_is_survived(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async with Client(world.endpoint) as client:
        world.supervisor.send(b"\xc1 not MessagePack")
        world.supervisor.send(b"\x81\xa4kind\xa5weird")
        world.supervisor.send(Error("malformed", "we could not read you"))
        subscription = client.subscribe("bot")
        world.supervisor.behind_subscribe = [
            encode(Events("bot", [msgspec.Raw(encode({"id": 5})), msgspec.Raw(encode(make_event(1)))]))
        ]
        assert seqs(await take(subscription, 1)) == [1]
    assert "unreadable frame" in caplog.text
    assert "could not use a frame: malformed" in caplog.text
    assert "unreadable event" in caplog.text


async def test_a_supervisor_that_falls_silent_fails_the_open_calls(world: World) -> None:
    async with Client(world.endpoint) as client:
        world.supervisor.is_mute = True
        call = begin(client.call("status", deadline_s=DEADLINE_S))
        with pytest.raises(SupervisorUnreachable, match="does not answer"):
            await call


async def test_closing_fails_the_open_calls_and_refuses_later_ones(world: World) -> None:
    async with Client(world.endpoint) as client:
        call = begin(client.call("status"))
        await world.supervisor.expect(Request, lambda r: r.method == "status")
    with pytest.raises(SupervisorUnreachable, match="closed"):
        await call
    with pytest.raises(SupervisorUnreachable, match="closed"):
        await client.call("status")
    with pytest.raises(SupervisorUnreachable, match="closed"):
        await anext(client.subscribe("bot"))


async def test_calls_of_a_killed_supervisor_fail_and_those_sent_to_its_successor_do_not(world: World) -> None:
    async with Client(world.endpoint) as client:
        lost = begin(client.call("message.create", deadline_s=DEADLINE_S))
        await world.supervisor.expect(Request, lambda r: r.method == "message.create")
        world.kill_supervisor()
        second = world.start_supervisor("second")
        with pytest.raises(SupervisorUnreachable, match="restarted"):
            await lost
        kept = begin(client.call("status"))
        request = await second.expect(Request, lambda r: r.method == "status")
        second.send(Pong(id=1, supervisor_id="third"))  # of a ping older than the call
        second.send(Pong())  # names nobody
        second.send(Reply(id=request.id, status="ok", data=3))
        assert await kept == 3


async def test_a_client_cancelled_in_its_hello_leaves_nothing_open(world: World) -> None:
    world.supervisor.is_mute = True
    client = Client(world.endpoint, connect_timeout_s=DEADLINE_S)
    entering = begin(client.__aenter__())
    await world.supervisor.expect(Request)
    entering.cancel()
    await asyncio.wait([entering])
    assert entering.cancelled()
    assert client._channel._socket.closed
