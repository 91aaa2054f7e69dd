"""Events, acks, nacks and credit of a client's subscriptions while its supervisor stays."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from fakes.supervisor import (
    World,
    begin,
    client_heard,
    has_acks,
    hurry,  # noqa: F401  # pytest finds it here
    make_event,
    seqs,
    take,
    world_fixture,  # noqa: F401  # pytest finds it here
)
from longwire_protocol.client import Client
from longwire_protocol.codec import encode
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.event import Bot
from longwire_protocol.messages import Ack, Credit, Events, Nack, Ping, Pong, Reply
from longwire_protocol.subscription import Subscription


async def test_a_subscription_asks_for_what_was_wanted_and_no_more(world: World) -> None:
    async with Client(world.endpoint) as client:
        await client.subscribe("bot").open()
        await client.subscribe(
            "all", start="all", types=["message.created"], accounts=["a"], tenant="t", credit=5
        ).open()
        assert [request.params for request in world.supervisor.subscribes()] == [
            {"name": "bot", "start": "new", "credit": 256},
            {
                "name": "all",
                "start": "all",
                "types": ["message.created"],
                "accounts": ["a"],
                "tenant": "t",
                "credit": 5,
            },
        ]


async def test_events_right_behind_the_subscribe_reply_are_delivered(world: World) -> None:
    async with Client(world.endpoint) as client:
        events = [msgspec.Raw(encode(make_event(seq))) for seq in (1, 2, 3)]
        world.supervisor.behind_subscribe = [encode(Events("bot", events))]
        received = await take(client.subscribe("bot"), 3)
        assert seqs(received) == [1, 2, 3]
        assert received[0].text == "text 1"
        assert received[0].bot == Bot(id="b1")


async def test_events_of_an_unknown_subscription_are_ignored(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot")
        await subscription.open()
        world.supervisor.deliver(make_event(1), subscription="other")
        world.supervisor.deliver(make_event(2))
        assert seqs(await take(subscription, 1)) == [2]


async def test_acks_of_one_turn_are_merged_into_one_frame(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot")
        await subscription.open()
        world.supervisor.deliver(*(make_event(seq) for seq in range(1, 11)))
        for event in await take(subscription, 10):
            await event.ack()
        assert (await world.supervisor.expect(Ack, lambda a: bool(a.seqs))).seqs == list(range(1, 11))


async def test_gathered_acks_wait_for_others_and_a_nack_takes_them_along_at_once(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription = Subscription(client, {"name": "bot"}, credit=100, gather_s=0.2)
        await subscription.open()
        world.supervisor.deliver(*(make_event(seq, chat=f"c{seq}") for seq in range(1, 6)))
        loop = asyncio.get_running_loop()
        events = await take(subscription, 5)
        begun = loop.time()
        await events[0].ack()
        await client_heard(world)  # other turns of the loop, other frames
        await events[1].ack()
        assert (await world.supervisor.expect(Ack, has_acks)).seqs == [1, 2]
        assert loop.time() - begun >= 0.2
        begun = loop.time()
        await events[2].ack()
        await events[3].nack()
        assert (await world.supervisor.expect(Ack, has_acks)).seqs == [3]
        assert (await world.supervisor.expect(Nack)).seq == 4
        assert loop.time() - begun < 0.2


async def test_gathered_acks_are_said_when_the_subscription_is_left(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription = Subscription(client, {"name": "bot"}, credit=100, gather_s=60.0)
        await subscription.open()
        world.supervisor.deliver(make_event(1))
        (event,) = await take(subscription, 1)
        await event.ack()
        await subscription.close()
        assert (await world.supervisor.expect(Ack, has_acks)).seqs == [1]


async def test_credit_is_given_back_when_half_of_it_is_used(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot", credit=10)
        await subscription.open()
        world.supervisor.deliver(*(make_event(seq) for seq in range(1, 11)))
        await take(subscription, 4)
        await client_heard(world)
        assert world.supervisor.of(Credit) == []
        await take(subscription, 1)
        assert (await world.supervisor.expect(Credit)).n == 5
        await take(subscription, 5)
        assert (await world.supervisor.expect(Credit)).n == 5


async def test_a_nack_leaves_behind_the_acks_given_before_it(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot")
        await subscription.open()
        world.supervisor.deliver(make_event(1), make_event(2))
        first, second = await take(subscription, 2)
        await first.ack()
        await second.nack(delay_s=1.5)
        nack = await world.supervisor.expect(Nack)
        assert nack == Nack(subscription="bot", seq=2, delay_ms=1500, id=nack.id)
        told = [frame for frame in world.supervisor.frames if isinstance(frame, Nack) or has_acks(frame)]
        assert [type(frame) for frame in told] == [Ack, Nack]


async def test_after_a_nack_what_waits_of_its_chat_is_dropped_because_it_comes_again(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot", credit=8)
        await subscription.open()
        world.supervisor.deliver(
            make_event(1), make_event(2), make_event(3, chat="c2"), make_event(4, chat=None), make_event(5)
        )
        (first,) = await take(subscription, 1)
        await first.nack()
        await world.supervisor.expect(Nack)
        world.supervisor.deliver(make_event(1, attempt=2), make_event(2, attempt=2), make_event(5, attempt=2))
        assert seqs(await take(subscription, 5)) == [3, 4, 1, 2, 5]
        assert (await world.supervisor.expect(Credit)).n >= 4  # for the dropped ones too


async def test_what_came_again_while_it_was_worked_on_is_not_handed_out_once_it_is_acked(
    world: World,
) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot", credit=4)
        await subscription.open()
        world.supervisor.deliver(make_event(10), make_event(11))
        (event,) = await take(subscription, 1)
        world.supervisor.deliver(make_event(10, attempt=2), make_event(11, attempt=2))
        await client_heard(world)
        await event.ack()
        (behind,) = await take(subscription, 1)
        assert (behind.seq, behind.delivery and behind.delivery.attempt) == (11, 2)
        await behind.ack()
        assert (await world.supervisor.expect(Ack, has_acks)).seqs == [10, 11]
        given_back = 0
        while given_back < 4:  # two events, twice
            given_back += (await world.supervisor.expect(Credit)).n
        assert given_back == 4


async def test_a_redelivered_event_takes_the_place_of_what_waits_of_its_chat(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot")
        await subscription.open()
        world.supervisor.deliver(make_event(1), make_event(2), make_event(3))
        world.supervisor.deliver(make_event(2, attempt=2), make_event(3, attempt=2))
        world.supervisor.deliver(make_event(4))
        await client_heard(world)
        received = await take(subscription, 4)
        assert seqs(received) == [1, 2, 3, 4]
        assert [event.delivery.attempt for event in received if event.delivery] == [1, 2, 2, 1]


async def unanswered_nack(world: World, subscription: Subscription) -> Nack:
    """Open it, let its first event fail, and return the nack that the supervisor has not answered."""
    await subscription.open()
    world.supervisor.answers_nacks = False
    world.supervisor.deliver(make_event(1))
    (first,) = await take(subscription, 1)
    await first.nack()
    return await world.supervisor.expect(Nack)


async def test_what_was_sent_before_a_nack_was_read_is_dropped_and_what_comes_after_it_is_not(
    world: World,
) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot")
        nack = await unanswered_nack(world, subscription)
        # On their way when it read the nack: of the chat, and of others.
        world.supervisor.deliver(make_event(2), make_event(3, chat="c2"), make_event(4, chat=None))
        world.supervisor.deliver(make_event(5))
        assert isinstance(nack.id, int)
        world.supervisor.send(Pong(id=nack.id, supervisor_id="first"))
        world.supervisor.deliver(make_event(1, attempt=2), make_event(2, attempt=2), make_event(5))
        assert seqs(await take(subscription, 5)) == [3, 4, 1, 2, 5]


async def test_a_nack_answered_by_a_supervisor_that_knows_no_such_answer_holds_nothing_up(
    world: World,
) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot")
        nack = await unanswered_nack(world, subscription)
        assert isinstance(nack.id, int)
        await world.supervisor.expect(Ping, lambda ping: isinstance(ping.id, int) and ping.id > nack.id)
        await client_heard(world)  # the answer to that ping
        world.supervisor.deliver(make_event(1, attempt=2))
        assert seqs(await take(subscription, 1)) == [1]


async def test_without_order_a_nack_drops_nothing_but_its_own_event(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot", order="none")
        await subscription.open()
        world.supervisor.answers_nacks = False
        world.supervisor.deliver(make_event(1), make_event(2))
        (first,) = await take(subscription, 1)
        await first.nack()
        await world.supervisor.expect(Nack)
        world.supervisor.deliver(make_event(1), make_event(3))
        assert seqs(await take(subscription, 2)) == [2, 3]


async def test_a_subscription_can_be_widened_and_opened_with_another_credit(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot", credit=8)
        await subscription.open(credit=1)
        assert world.supervisor.subscribes()[-1].params["credit"] == 1
        subscription.widen(8)
        assert (await world.supervisor.expect(Credit)).n == 7
        subscription.widen(4)
        await subscription.close()
        await subscription.open()
        assert world.supervisor.subscribes()[-1].params["credit"] == 8


async def test_an_event_without_number_can_be_acked_and_nacked_without_effect(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot")
        await subscription.open()
        world.supervisor.deliver(make_event(None))
        (event,) = await take(subscription, 1)
        await event.ack()
        await event.nack()
    assert not any(has_acks(frame) or isinstance(frame, Nack) for frame in world.supervisor.frames)


async def test_a_supervisor_that_does_not_read_gets_acks_nacks_and_credit_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot", credit=4)
        await subscription.open()
        world.supervisor.deliver(*(make_event(seq) for seq in range(1, 5)))
        with monkeypatch.context() as full:
            full.setattr(client, "_send", lambda _: False)
            first, second, third, _ = await take(subscription, 4)
            await first.ack()
            await second.ack()
            await third.nack()
            await asyncio.sleep(0)
        client._flush()
        assert (await world.supervisor.expect(Ack, has_acks)).seqs == [1, 2]
        assert (await world.supervisor.expect(Nack)).seq == 3
        assert (await world.supervisor.expect(Credit)).n == 4


async def test_refused_subscriptions_raise_and_may_be_tried_again(world: World) -> None:
    refusal = Reply(id=0, status="failed", retcode=RetCode.SUBSCRIPTION_CONFLICT, message="other filters")
    async with Client(world.endpoint) as client:
        world.supervisor.refusals = [refusal]
        subscription = client.subscribe("bot")
        with pytest.raises(CommandError, match="other filters"):
            await anext(subscription)
        await subscription.open()
        world.supervisor.deliver(make_event(1))
        assert seqs(await take(subscription, 1)) == [1]


async def test_a_cancelled_first_step_loses_no_events(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot")
        events = [msgspec.Raw(encode(make_event(seq))) for seq in (1, 2)]
        world.supervisor.behind_subscribe = [encode(Events("bot", events))]
        step = begin(anext(subscription))
        await asyncio.sleep(0)
        step.cancel()
        await asyncio.wait([step])
        assert seqs(await take(subscription, 2)) == [1, 2]
        assert len(world.supervisor.subscribes()) == 1
