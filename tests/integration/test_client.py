"""The client against a small supervisor made of the protocol alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import msgspec
import pytest
import zmq

from longwire_protocol import client as client_module
from longwire_protocol.channel import Channel, new_socket
from longwire_protocol.client import Client
from longwire_protocol.codec import Decoder, encode
from longwire_protocol.errors import CommandError, RetCode, SupervisorUnreachable
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
        self.behind_subscribe: list[bytes] = []
        self.refusals: list[Reply] = []
        self.is_mute = False
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
        self.client = parts[0]
        frame = self._decode(parts[-1])
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
                self.send(Pong(id=frame.id, supervisor_id=self.supervisor_id))
            case Ack() | Nack() | Credit():
                if frame.subscription not in self.knows:
                    self.send(Error("not_subscribed", "it is not open", frame.subscription))
            case _:
                pass

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


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    context: Context = zmq.Context()
    world = World(context, f"ipc://{tmp_path}/longwire.sock")
    yield world
    world.kill_supervisor()
    context.term()


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_PING_S", 0.05)
    monkeypatch.setattr(client_module, "_REOPEN_S", 0.01)


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


# Hello and calls.


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


# Subscriptions.


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
        assert (await world.supervisor.expect(Nack)) == Nack(subscription="bot", seq=2, delay_ms=1500)
        told = [frame for frame in world.supervisor.frames if isinstance(frame, Nack) or _acks(frame)]
        assert [type(frame) for frame in told] == [Ack, Nack]


def is_subscribe(request: Request) -> bool:
    return request.method == "events.subscribe"


async def client_heard(world: World) -> None:
    """Return when the client has read all that was sent to it."""
    world.supervisor.send(Ping(id="heard"))
    await world.supervisor.expect(Pong, lambda pong: pong.id == "heard")


def _acks(frame: ToSupervisor) -> bool:
    return isinstance(frame, Ack) and bool(frame.seqs)


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


async def test_an_event_without_number_can_be_acked_and_nacked_without_effect(world: World) -> None:
    async with Client(world.endpoint) as client:
        subscription = client.subscribe("bot")
        await subscription.open()
        world.supervisor.deliver(make_event(None))
        (event,) = await take(subscription, 1)
        await event.ack()
        await event.nack()
    assert not any(_acks(frame) or isinstance(frame, Nack) for frame in world.supervisor.frames)


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
        assert (await world.supervisor.expect(Ack, _acks)).seqs == [1, 2]
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
        assert (await second.expect(Ack, _acks)).seqs == [1]
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
            acked.update((await world.supervisor.expect(Ack, _acks)).seqs)


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
        assert (await world.supervisor.expect(Ack, _acks)).seqs == [2, 3]


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
        request = await world.supervisor.expect(Request, lambda r: r.method == "events.unsubscribe")
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
        request = await world.supervisor.expect(Request, lambda r: r.method == "events.unsubscribe")
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
        request = await world.supervisor.expect(Request, lambda r: r.method == "events.unsubscribe")
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
        world.supervisor.send(Reply(id=again.id, status="ok", data={"subscription": "bot"}))
        world.supervisor.deliver(make_event(1))
        assert isinstance(await ended(subscription), StopAsyncIteration)
        assert not subscription.is_open


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
    assert (await world.supervisor.expect(Ack, _acks)).seqs == [1]
    await event.ack()  # too late, and no error


async def test_an_exception_in_the_body_comes_through_alone(world: World) -> None:
    async def fail() -> None:
        async with Client(world.endpoint) as client:
            await client.subscribe("bot").open()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()


async def test_a_client_cancelled_in_its_hello_leaves_nothing_open(world: World) -> None:
    world.supervisor.is_mute = True
    client = Client(world.endpoint, connect_timeout_s=DEADLINE_S)
    entering = begin(client.__aenter__())
    await world.supervisor.expect(Request)
    entering.cancel()
    await asyncio.wait([entering])
    assert entering.cancelled()
    assert client._channel.is_closed


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
