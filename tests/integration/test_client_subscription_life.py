"""A client's subscriptions when supervisors come and go, forget, refuse or are left."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import pytest

from fakes.supervisor import (
    DEADLINE_S,
    World,
    begin,
    client_heard,
    ended,
    has_acks,
    hurry,  # noqa: F401  # pytest finds it here
    is_subscribe,
    make_event,
    seqs,
    take,
    world_fixture,  # noqa: F401  # pytest finds it here
)
from longwire_protocol.client import Client
from longwire_protocol.codec import encode
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.messages import Ack, Error, Events, Nack, Reply, Request
from longwire_protocol.subscription import Subscription


def is_unsubscribe(request: Request) -> bool:
    return request.method == "events.unsubscribe"


async def opened_in_vain(world: World, subscription: Subscription) -> Request:
    """Return the request of an opening that its caller gave up, and that the supervisor has not answered."""
    world.supervisor.is_mute = True
    opening = begin(subscription.open())
    request = await world.supervisor.expect(Request, is_subscribe)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    return request


# Opened again.


async def test_another_supervisor_gets_the_subscriptions_opened_again(world: World) -> None:
    async with Client(world.endpoint) as client:
        named, unnamed = client.subscribe("bot", credit=9), client.subscribe()
        await named.open()
        await unnamed.open()
        assert unnamed.name == "~first-1"
        world.kill_supervisor()
        second = world.start_supervisor("second")
        await second.expect(Request, lambda r: r.params.get("name") == "bot")
        await second.expect(Request, lambda r: "name" not in r.params)
        second.deliver(make_event(1))
        assert seqs(await take(named, 1)) == [1]
        second.deliver(make_event(2), subscription="~second-1")
        assert seqs(await take(unnamed, 1)) == [2]
        assert unnamed.name == "~second-1"
        assert len(second.subscribes()) == 2
        assert second.subscribes()[0].params["credit"] == 9


async def test_what_waits_of_a_killed_supervisor_is_dropped_because_it_comes_again(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot")
        await subscription.open()
        world.supervisor.deliver(make_event(1), make_event(2))
        (first,) = await take(subscription, 1)
        world.kill_supervisor()
        second = world.start_supervisor("second")
        await second.expect(Request)
        again = [msgspec.Raw(encode(make_event(seq))) for seq in (1, 2)]
        second.send(encode(Events("bot", again)))
        received = await take(subscription, 2)
        assert seqs(received) == [1, 2]
        await first.nack()  # of the earlier opening: it came again already
        await received[0].ack()
        assert (await second.expect(Ack, has_acks)).seqs == [1]
        assert second.of(Nack) == []


async def test_what_was_done_between_two_supervisors_is_acked_when_it_comes_again(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot")
        await subscription.open()
        world.supervisor.deliver(*(make_event(seq) for seq in (1, 2, 3, 4)))
        first, second, third = await take(subscription, 3)
        world.supervisor.send(Error("not_subscribed", "you were forgotten", "bot"))
        world.supervisor.refusals = [
            Reply(id=0, status="failed", retcode=RetCode.SATURATED, message="later", retryable=True)
        ]
        await world.supervisor.expect(Request, is_subscribe)
        await world.supervisor.expect(Request, is_subscribe)
        assert not subscription.is_open
        await first.ack()  # while it is not open
        await world.supervisor.expect(Request, is_subscribe)
        world.supervisor.deliver(*(make_event(seq, attempt=2) for seq in (1, 2, 3, 4)))
        await client_heard(world)
        await second.ack()  # its redelivery waits
        received = await take(subscription, 2)
        assert seqs(received) == [3, 4]
        await third.ack()  # its redelivery was taken: both are acked in the end
        await received[0].ack()
        acked: set[int] = set()
        while not acked >= {1, 2, 3}:
            acked.update((await world.supervisor.expect(Ack, has_acks)).seqs)


async def test_acks_that_no_supervisor_took_are_remembered_within_bounds(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longwire_protocol.subscription._MAX_REMEMBERED", 2)
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot")
        await subscription.open()
        world.supervisor.deliver(*(make_event(seq) for seq in (1, 2, 3)))
        received = await take(subscription, 3)
        with monkeypatch.context() as full:
            full.setattr(client, "_send", lambda _: False)
            for event in received:
                await event.ack()
            await asyncio.sleep(0)
            subscription.lost()
        await subscription.open()
        world.supervisor.deliver(*(make_event(seq) for seq in (1, 2, 3)))
        assert seqs(await take(subscription, 1)) == [1]
        assert (await world.supervisor.expect(Ack, has_acks)).seqs == [2, 3]


async def test_a_subscription_the_supervisor_forgot_is_opened_again_once(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot")
        await subscription.open()
        world.supervisor.deliver(make_event(1))
        (event,) = await take(subscription, 1)
        for _ in range(3):  # as for an ack and a credit on their way
            world.supervisor.send(Error("not_subscribed", "you were forgotten", "bot"))
        await world.supervisor.expect(Request, is_subscribe)
        await world.supervisor.expect(Request, is_subscribe)
        await event.nack()  # of the earlier opening: it comes again already
        world.supervisor.deliver(make_event(1, attempt=2))
        assert seqs(await take(subscription, 1)) == [1]
        await client_heard(world)
        assert len(world.supervisor.subscribes()) == 2
        assert world.supervisor.of(Nack) == []


async def test_an_idle_subscription_finds_out_by_itself_that_it_was_forgotten(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot")
        await subscription.open()
        world.supervisor.knows.clear()
        async with asyncio.timeout(DEADLINE_S):
            while "bot" not in world.supervisor.knows:
                await world.supervisor.expect(Request)


async def test_a_subscription_that_may_not_be_opened_again_ends_with_the_refusal(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot")
        await subscription.open()
        world.supervisor.deliver(make_event(1))
        world.supervisor.refusals = [
            Reply(id=0, status="failed", retcode=RetCode.JOURNAL_UNAVAILABLE, message="not now"),
            Reply(id=0, status="failed", retcode=RetCode.SUBSCRIPTION_CONFLICT, message="other filters"),
        ]
        world.supervisor.knows.clear()
        failure = await ended(subscription)
        assert isinstance(failure, CommandError)
        assert failure.message == "other filters"
        world.supervisor.deliver(make_event(2))
        assert await ended(subscription) is failure


async def test_a_subscription_lost_while_the_client_closes_is_not_opened_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    forgotten = encode(Error("not_subscribed", "you were forgotten", "bot"))
    async with Client(world.endpoint) as client:
        await client.subscribe("bot").open()
        client._keeper.add_done_callback(lambda _: client._on_message([forgotten]))
    assert not [record.message for record in caplog.records if record.name == "asyncio"]


async def test_a_restart_in_the_middle_of_opening_again_is_followed_by_one_more(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot")
        await subscription.open()
        world.supervisor.is_mute = True
        world.supervisor.send(Error("not_subscribed", "you were forgotten", "bot"))
        await world.supervisor.expect(Request, is_subscribe)
        await world.supervisor.expect(Request, is_subscribe)
        world.kill_supervisor()
        second = world.start_supervisor("second")
        await second.expect(Request, is_subscribe)
        second.deliver(make_event(1))
        assert seqs(await take(subscription, 1)) == [1]


async def test_a_name_opened_twice_by_one_client_belongs_to_the_later(world: World) -> None:
    async with Client(world.endpoint) as client:
        first, second = client.subscribe("bot"), client.subscribe("bot")
        await first.open()
        await second.open()
        failure = await ended(first)
        assert isinstance(failure, CommandError)
        assert failure.retcode == RetCode.SUBSCRIPTION_CONFLICT
        world.supervisor.deliver(make_event(1))
        assert seqs(await take(second, 1)) == [1]


# Closed and left.


async def test_closing_a_subscription_says_what_is_done_and_ends_its_iteration(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot")
        await subscription.open()
        world.supervisor.deliver(make_event(1), make_event(2), make_event(3))
        (event,) = await take(subscription, 1)
        await event.ack()
        waiting = begin(ended(subscription))
        await subscription.close()
        assert isinstance(await waiting, StopAsyncIteration)
        request = await world.supervisor.expect(Request, is_unsubscribe)
        assert request.params == {"subscription": "bot"}
        assert world.supervisor.of(Ack)[0].seqs == [1]
        await subscription.open()
        world.supervisor.deliver(make_event(2))
        assert seqs(await take(subscription, 1)) == [2]


async def test_closing_what_was_never_opened_or_is_not_known_any_more_is_no_error(world: World) -> None:
    async with Client(world.endpoint) as client:
        await client.subscribe("never").close()
        assert world.supervisor.frames[1:] == []
        subscription = client.subscribe("bot")
        await subscription.open()
        world.supervisor.is_mute = True
        closing = begin(subscription.close())
        request = await world.supervisor.expect(Request, is_unsubscribe)
        world.supervisor.send(Reply(id=request.id, status="failed", retcode=RetCode.NOT_SUBSCRIBED))
        await closing
        world.supervisor.send(Error("not_subscribed", "an ack crossed the close", "bot"))
    await subscription.close()  # after its client


async def test_a_close_that_the_supervisor_refuses_raises(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot")
        await subscription.open()
        world.supervisor.is_mute = True
        closing = begin(subscription.close())
        request = await world.supervisor.expect(Request, is_unsubscribe)
        world.supervisor.send(Reply(id=request.id, status="failed", retcode=RetCode.INTERNAL))
        with pytest.raises(CommandError):
            await closing


async def test_a_subscription_closed_while_it_opens_again_stays_closed(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot")
        await subscription.open()
        world.supervisor.is_mute = True
        world.supervisor.send(Error("not_subscribed", "you were forgotten", "bot"))
        await world.supervisor.expect(Request, is_subscribe)
        again = await world.supervisor.expect(Request, is_subscribe)
        world.supervisor.is_mute = False
        await subscription.close()
        await world.supervisor.expect(Request, is_unsubscribe)
        world.supervisor.send(Reply(id=again.id, status="ok", data={"subscription": "bot"}))
        world.supervisor.deliver(make_event(1))
        await world.supervisor.expect(Request, is_unsubscribe)  # it was open once more
        assert isinstance(await ended(subscription), StopAsyncIteration)
        assert not subscription.is_open


@pytest.mark.parametrize("name", ["bot", None])
async def test_a_subscription_closed_before_it_opens_is_left_when_it_opens(
    world: World, name: str | None
) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe(name)
        request = await opened_in_vain(world, subscription)
        await subscription.close()
        world.supervisor.send(Reply(id=request.id, status="ok", data={"subscription": "given"}))
        left = await world.supervisor.expect(Request, is_unsubscribe)
        assert left.params == {"subscription": "given"}
        assert isinstance(await ended(subscription), StopAsyncIteration)
        assert not subscription.is_open


async def test_an_opening_whose_reply_comes_after_its_failure_is_left(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longwire_protocol.openings._SUBSCRIBE_S", 0.01)
    async with Client(world.endpoint) as client:
        world.supervisor.is_mute = True
        with pytest.raises(CommandError, match="no outcome"):
            await client.subscribe("bot").open()
        request = await world.supervisor.expect(Request, is_subscribe)
        world.supervisor.send(Reply(id=request.id, status="ok", data={"subscription": "bot"}))
        assert (await world.supervisor.expect(Request, is_unsubscribe)).params == {"subscription": "bot"}


async def test_a_subscription_closed_before_it_opens_can_be_opened_again(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot")
        request = await opened_in_vain(world, subscription)
        await subscription.close()
        world.supervisor.is_mute = False
        await subscription.open()
        await world.supervisor.expect(Request, is_subscribe)
        world.supervisor.send(Reply(id=request.id, status="ok", data={"subscription": "bot"}))
        await world.supervisor.expect(Request, is_subscribe)  # as the late one changed credit and order
        await client_heard(world)
        world.supervisor.deliver(make_event(1))
        assert seqs(await take(subscription, 1)) == [1]
        assert [r for r in world.supervisor.of(Request) if is_unsubscribe(r)] == []


async def test_leaving_the_client_sends_the_last_acks_and_ends_every_iteration(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription, busy = client.subscribe("bot"), client.subscribe("busy")
        await subscription.open()
        await busy.open()
        world.supervisor.deliver(make_event(1))
        (event,) = await take(subscription, 1)
        waiting = begin(ended(subscription))
        await asyncio.sleep(0)
        world.supervisor.refusals = [
            Reply(id=0, status="failed", retcode=RetCode.SATURATED, message="later", retryable=True)
        ] * 1000
        world.supervisor.knows.discard("busy")
        await world.supervisor.expect(Request, lambda r: r.params.get("name") == "busy")
        await world.supervisor.expect(Request, lambda r: r.params.get("name") == "busy")
        await event.ack()
    assert isinstance(await waiting, StopAsyncIteration)
    assert isinstance(await ended(busy), StopAsyncIteration)
    assert (await world.supervisor.expect(Ack, has_acks)).seqs == [1]
    await event.ack()  # too late, and no error


async def test_an_exception_in_the_body_comes_through_alone(world: World) -> None:
    async def fail() -> None:
        async with Client(world.endpoint) as client:
            await client.subscribe("bot").open()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()


async def test_nothing_is_logged_for_an_ordinary_life(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with Client(world.endpoint) as client:
        subscription: Any = client.subscribe("bot")
        await subscription.open()
        world.supervisor.deliver(make_event(1))
        for event in await take(subscription, 1):
            await event.ack()
        await subscription.close()
    assert caplog.records == []
