"""Subscriptions through the client protocol: failures, dead letters, replay, limits; over restarts, too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any, cast

import msgspec
import pytest
import zmq

from harness.waiting import until
from longwire import Client, deadletters
from longwire.control import Control
from longwire.deliveries import Deliveries
from longwire.delivery import WindowLimits
from longwire.journal import Arrivals, Commit, Journal
from longwire.service import Service
from longwire_protocol import client as client_module
from longwire_protocol.channel import new_socket
from longwire_protocol.codec import encode
from longwire_protocol.errors import CommandError, RetCode
from longwire_protocol.frames import HandedOver
from longwire_protocol.messages import Credit, Request
from longwire_protocol.subscription import IncomingEvent, Subscription

DEADLINE_S = 30.0


class Realm:
    """What of the supervisor the service asks for here."""

    supervisor_id = "test"

    def __init__(self, deliveries: Deliveries) -> None:
        self.accounts: dict[str, Any] = {}
        self.deliveries = deliveries

    def catch_up(self) -> None:
        return

    def status(self) -> dict[str, Any]:
        return {"subscriptions": self.deliveries.status()}


class World:
    """A journal with the real deliveries, service and endpoint before it, made again by `restart`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.endpoint = f"ipc://{folder}/clients.sock"
        self.numbers = 0
        self.limits = WindowLimits()

    @asynccontextmanager
    async def running(self, **limits: float) -> AsyncGenerator[Client, None]:
        self.journal = await Journal.open(self.folder / "journal.sqlite3")
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        async with asyncio.timeout(2 * DEADLINE_S), asyncio.TaskGroup() as tasks:
            window_limits = WindowLimits(**cast("Any", limits))
            self.deliveries = await Deliveries.open(self.journal, tasks, limits=window_limits)
            handler = Service(cast("Any", Realm(self.deliveries)), self.deliveries, cast("Any", None))
            control = Control(
                context, [self.endpoint], handler=handler, tasks=tasks, supervisor_id=token_hex(8)
            )
            async with Client(self.endpoint) as client:
                yield client
            self.deliveries.close()
            control.close()
        context.term()
        await self.journal.close()

    async def commit(self, *chats: str | None, **fields: str) -> None:
        """Write an event for each chat."""
        written: asyncio.Future[Commit] = asyncio.get_running_loop().create_future()
        account, tenant = fields.get("account", "bot"), fields.get("tenant", "acme")
        events = [self._event(chat, **fields) for chat in chats]
        self.journal.append(Arrivals(account, tenant, events), done=written.set_result)
        await written

    def _event(self, chat: str | None, **fields: str) -> HandedOver:
        self.numbers += 1
        kind = fields.get("type", "message.created")
        event: dict[str, Any] = {
            "v": 1,
            "id": f"e{self.numbers}",
            "type": kind,
            "time": float(self.numbers),
            "recv_time": float(self.numbers),
            "tenant": fields.get("tenant", "acme"),
            "account": fields.get("account", "bot"),
            "platform": "loopback",
        }
        if chat is not None:
            event["chat"] = {"id": chat, "type": "group"}
        body = msgspec.msgpack.encode(event)
        return HandedOver(self.numbers, kind, chat, None, float(self.numbers), body)

    async def status(self, name: str) -> Any:
        (found,) = [status for status in self.deliveries.status() if status.name == name]
        return found


@pytest.fixture(name="world")
def world_fixture(tmp_path: Path) -> World:
    return World(tmp_path)


async def take(subscription: Subscription, n: int) -> list[IncomingEvent]:
    async with asyncio.timeout(DEADLINE_S):
        return [await anext(subscription) for _ in range(n)]


def attempts(events: list[IncomingEvent]) -> list[tuple[int | None, int]]:
    return [(event.seq, event.delivery.attempt if event.delivery else 0) for event in events]


async def letters(client: Client, **params: Any) -> list[dict[str, Any]]:
    page = await client.call("deadletter.list", params)
    found: list[dict[str, Any]] = page["deadletters"]
    return found


async def until_letters(client: Client, *seqs: int) -> list[dict[str, Any]]:
    async def look() -> tuple[list[dict[str, Any]]] | None:
        found = await letters(client)
        return (found,) if [letter["seq"] for letter in found] == [*seqs] else None

    return (await until(look, what=f"dead letters {seqs}"))[0]


async def fail(subscription: Subscription, times: int, *, delay_s: float | None = 0.0) -> None:
    for _ in range(times):
        (event,) = await take(subscription, 1)
        await event.nack(delay_s=delay_s)


# Dead letters.


async def test_an_event_that_fails_too_often_is_a_dead_letter_and_its_chat_goes_on(world: World) -> None:
    async with world.running(max_attempts=3) as client:
        subscription = client.subscribe("bot", start="all")
        await world.commit("a", "a")
        await fail(subscription, 3)
        (after,) = await take(subscription, 1)
        assert after.seq == 2
        await after.ack()
        (letter,) = await until_letters(client, 1)
        assert letter["event"]["id"] == "e1"
        assert letter["event"]["delivery"] == {"attempt": 3, "redelivered": True}
        shown = {key: letter[key] for key in ("subscription", "reason", "cause", "attempts", "failures")}
        assert shown == {
            "subscription": "bot",
            "reason": "max_attempts",
            "cause": "nacked",
            "attempts": 3,
            "failures": 3,
        }
        assert letter["first_failed_at"] <= letter["last_failed_at"]
        status = await world.status("bot")
        assert (status.dead_letters, status.clients) == (1, 1)


async def test_attempts_failures_and_dead_letters_survive_a_restart(world: World) -> None:
    async with world.running(max_attempts=3) as client:
        subscription = client.subscribe("bot", start="all")
        await world.commit("a", "b")
        await fail(subscription, 1)  # 1
        (second,) = await take(subscription, 1)
        await second.ack()
        (first,) = await take(subscription, 1)
        assert attempts([first]) == [(1, 2)]
        await first.nack(delay_s=0)
        await take(subscription, 1)
    async with world.running(max_attempts=3) as client:
        subscription = client.subscribe("bot")
        (first,) = await take(subscription, 1)
        assert attempts([first]) == [(1, 4)]
        await first.nack()
        await until_letters(client, 1)
    async with world.running(max_attempts=3) as client:
        assert [letter["attempts"] for letter in await letters(client)] == [4]
        assert (await world.status("bot")).dead_letters == 1
        await world.commit("a")
        assert attempts(await take(client.subscribe("bot"), 1)) == [(3, 1)]


async def test_a_resubmitted_event_comes_again_until_it_is_acked_over_restarts_too(world: World) -> None:
    async with world.running(max_attempts=1) as client:
        subscription = client.subscribe("bot", start="all")
        await world.commit("a", "a")
        await fail(subscription, 1)
        for event in await take(subscription, 1):
            await event.ack()
        await until_letters(client, 1)
        await subscription.close()
        assert await client.call("deadletter.resubmit", {"subscription": "bot"}) == {"resubmitted": 1}
        assert await client.call("deadletter.resubmit", {"all": True}) == {"resubmitted": 0}
        (letter,) = await letters(client)
        assert letter["resubmitted_at"] is not None
    async with world.running(max_attempts=1) as client:
        assert (await world.status("bot")).dead_letters == 0
        (event,) = await take(client.subscribe("bot"), 1)
        assert attempts([event]) == [(1, 2)]
        await event.ack()
        await until_letters(client)
        assert (await world.status("bot")).low_water == 2
    async with world.running() as client:
        assert await letters(client) == []


async def test_a_resubmitted_event_that_fails_again_is_a_dead_letter_again(world: World) -> None:
    async with world.running(max_attempts=2) as client:
        subscription = client.subscribe("bot", start="all")
        await world.commit("a")
        await fail(subscription, 2)
        await until_letters(client, 1)
        await client.call("deadletter.resubmit", {"subscription": "bot", "seqs": [1, 7]})
        await fail(subscription, 2)

        async def is_dead_again() -> bool:
            (letter,) = await letters(client)
            return letter["resubmitted_at"] is None and letter["attempts"] == 4 and letter["failures"] == 2

        await until(is_dead_again)


async def test_dead_letters_are_listed_in_pages_narrowed_and_purged(world: World) -> None:
    async with world.running(max_attempts=1) as client:
        for name in ("x", "x/y"):
            subscription = client.subscribe(name, start="all")
            if name == "x":
                await world.commit(None, None, None)
            await fail(subscription, 3)
        await until_letters(client, 1, 2, 3, 1, 2, 3)
        page = await client.call("deadletter.list", {"limit": 4})
        rest = await client.call("deadletter.list", {"limit": 4, "after": page["next"]})
        keys = [(d["subscription"], d["seq"]) for d in page["deadletters"] + rest["deadletters"]]
        assert keys == [(name, seq) for name in ("x", "x/y") for seq in (1, 2, 3)]
        assert rest["next"] is None
        assert [d["seq"] for d in await letters(client, subscription="x", seqs=[2, 9])] == [2]
        for params in ({}, {"subscription": "x", "all": True}, {"seqs": [1]}, {"everything": True}):
            with pytest.raises(CommandError) as refused:
                await client.call("deadletter.purge", params)
            assert refused.value.retcode == RetCode.BAD_PARAM
        assert await client.call("deadletter.purge", {"subscription": "x", "seqs": [2]}) == {"purged": 1}
        assert await client.call("deadletter.purge", {"subscription": "x/y"}) == {"purged": 3}
        assert [d["seq"] for d in await letters(client)] == [1, 3]
        assert await client.call("deadletter.purge", {"all": True}) == {"purged": 2}
    async with world.running() as client:
        assert await letters(client) == []


async def test_a_tenant_has_to_do_with_the_dead_letters_of_its_own_events_alone(world: World) -> None:
    async with world.running(max_attempts=1) as client:
        subscription = client.subscribe("bot", start="all")
        await world.commit(None, None, tenant="t1")
        await world.commit(None, None, tenant="t2")
        await fail(subscription, 4)
        await until_letters(client, 1, 2, 3, 4)
        await subscription.close()
    async with world.running(max_attempts=1) as client:  # they are known after a restart, too

        async def call(verb: str, **params: Any) -> Any:
            return await client.call(f"deadletter.{verb}", params, tenant="t2")

        assert [d["seq"] for d in (await call("list"))["deadletters"]] == [3, 4]
        assert await call("resubmit", subscription="bot", seqs=[1]) == {"resubmitted": 0}
        assert await call("resubmit", all=True) == {"resubmitted": 2}
        assert await call("purge", subscription="bot", seqs=[1, 3]) == {"purged": 1}
        subscription = client.subscribe("bot")
        await fail(subscription, 1)
        await until_letters(client, 1, 2, 4)
        assert await call("purge", all=True) == {"purged": 1}
        assert await client.call("deadletter.purge", {"all": True}) == {"purged": 2}


async def test_the_oldest_dead_letter_goes_when_there_are_too_many(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadletters, "MAX_LETTERS", 2)
    async with world.running(max_attempts=1) as client:
        subscription = client.subscribe("bot", start="all")
        for seq in (1, 2, 3):
            await world.commit(None)
            await fail(subscription, 1)
            await until_letters(client, *range(max(1, seq - 1), seq + 1))
        assert (await world.status("bot")).dead_letters_dropped == 1


async def test_the_oldest_dead_letters_go_when_their_events_are_too_large_over_restarts_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.running(max_attempts=1) as client:
        subscription = client.subscribe("bot", start="all")
        await world.commit("a", "a", "a")
        await fail(subscription, 3)
        await until_letters(client, 1, 2, 3)
        found = await world.journal.get_states(deadletters.LETTER_PREFIX, deadletters.DeadLetter)
        size_bytes = sum(len(letter.event.body) for letter in found.values())
    async with world.running(max_attempts=1) as client:
        monkeypatch.setattr(deadletters, "MAX_LETTER_BYTES", size_bytes + 1)
        subscription = client.subscribe("bot")
        assert await client.call("deadletter.resubmit", {"subscription": "bot", "seqs": [1]})
        await fail(subscription, 1)  # it takes its own place
        await until_letters(client, 1, 2, 3)
        assert (await world.status("bot")).dead_letters_dropped == 0
        await world.commit("long" * 20)
        await fail(subscription, 1)
        await until_letters(client, 1, 4)  # 1 has failed later than 2 and 3
        status = await world.status("bot")
        assert (status.dead_letters, status.dead_letters_dropped) == (2, 2)
    async with world.running() as client:
        assert [letter["seq"] for letter in await letters(client)] == [1, 4]


async def test_dead_letters_are_read_in_pieces_also_at_the_start(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadletters, "_READ_BYTES", 1)
    get_states, pieces = Journal.get_states, list[int]()

    async def counted(self: Journal, prefix: str, value_type: Any, **options: Any) -> dict[str, Any]:
        found = await get_states(self, prefix, value_type, **options)
        if value_type is deadletters.DeadLetter:
            pieces.append(len(found))
        return found

    monkeypatch.setattr(Journal, "get_states", counted)
    async with world.running(max_attempts=1) as client:
        for name in ("x", "y"):
            subscription = client.subscribe(name, start="all")
            if name == "x":
                await world.commit("a", "b", "c")
            await fail(subscription, 3)
        await until_letters(client, 1, 2, 3, 1, 2, 3)
        page = await client.call("deadletter.list", {"limit": 4})
        rest = await letters(client, after=page["next"])
        assert [d["seq"] for d in [*page["deadletters"], *rest]] == [1, 2, 3, 1, 2, 3]
        assert [d["seq"] for d in await letters(client, subscription="y", seqs=[2])] == [2]
        assert await client.call("deadletter.resubmit", {"all": True, "seqs": [1, 3]}) == {"resubmitted": 4}
    async with world.running(max_attempts=1) as client:
        for name in ("x", "y"):
            assert (await world.status(name)).dead_letters == 1
            events = await take(client.subscribe(name), 2)
            assert attempts(events) == [(1, 2), (3, 2)]
            for event in events:
                await event.ack()
        await until_letters(client, 2, 2)
    assert set(pieces) == {0, 1}


# Limits, retries, leaving.


async def test_limits_given_with_a_subscription_are_its_own_and_stay(world: World) -> None:
    async with world.running() as client:
        await client.subscribe("bot", max_attempts=2, ack_timeout_s=5).open()
        await client.subscribe("bot", ack_timeout_s=6).open()
        with pytest.raises(CommandError, match="max_attempts"):
            await client.call("events.subscribe", {"name": "bot", "max_attempts": 0})
        status = await world.status("bot")
        assert (status.max_attempts, status.ack_timeout_s, status.chat_block_max_s) == (2, 6.0, 600.0)
    async with world.running(chat_block_max_s=9.0):
        status = await world.status("bot")
        assert (status.max_attempts, status.ack_timeout_s, status.chat_block_max_s) == (2, 6.0, 9.0)


async def test_a_missing_ack_fails_the_event_until_it_is_a_dead_letter(world: World) -> None:
    async with world.running(ack_timeout_s=0.1, max_attempts=2) as client:
        subscription = client.subscribe("bot", start="all")
        await world.commit("a", "a")
        await take(subscription, 1)
        (letter,) = await until_letters(client, 1)
        assert letter["cause"] == "ack_timeout"


async def test_a_nack_without_a_delay_is_sent_again_by_backoff(world: World) -> None:
    async with world.running() as client:
        subscription = client.subscribe("bot", start="all")
        await world.commit("a")
        await fail(subscription, 1, delay_s=None)
        window = world.deliveries._subscriptions["bot"].window

        async def is_delayed() -> bool:
            return bool(window._dispatch._delays)

        await until(is_delayed)
        assert attempts(await take(subscription, 1)) == [(1, 2)]


async def test_a_client_that_closes_takes_its_leave_and_fails_nothing(world: World) -> None:
    async with world.running(max_attempts=1) as client:
        async with Client(world.endpoint) as leaving:
            subscription = leaving.subscribe("bot", start="all")
            await world.commit("a")
            await take(subscription, 1)
        assert attempts(await take(client.subscribe("bot"), 1)) == [(1, 2)]
        assert await letters(client) == []


# Filters, start and forgetting.


async def test_filters_choose_by_tenant_account_and_type_and_cannot_differ_on_one_name(world: World) -> None:
    async with world.running() as client:
        wanted = client.subscribe("bot", tenant="t2", accounts=["a2"], types=["card.action"])
        await wanted.open()
        await world.commit("x")
        await world.commit("x", tenant="t2", account="a2")
        await world.commit("x", tenant="t2", type="card.action")
        await world.commit("x", account="a2", type="card.action")
        await world.commit("x", tenant="t2", account="a2", type="card.action")
        assert [event.seq for event in await take(wanted, 1)] == [5]
        status = await world.status("bot")
        assert msgspec.to_builtins(status.filters) == {
            "accounts": ["a2"],
            "types": ["card.action"],
            "tenant": "t2",
        }
        async with Client(world.endpoint) as other:
            with pytest.raises(CommandError) as refused:
                await other.subscribe("bot", tenant="t2").open()
            assert refused.value.retcode == RetCode.SUBSCRIPTION_CONFLICT


@pytest.mark.parametrize(("start", "seqs"), [("all", [1, 2, 3, 4]), (2, [2, 3, 4]), ("new", [4]), (99, [4])])
async def test_a_subscription_starts_where_it_is_told_to(world: World, start: Any, seqs: list[int]) -> None:
    async with world.running() as client:
        await world.commit("a", "b", "c")
        subscription = client.subscribe("bot", start=start)
        await subscription.open()
        await world.commit("d")
        assert [event.seq for event in await take(subscription, len(seqs))] == seqs


async def test_a_forgotten_subscription_leaves_nothing_and_can_be_made_anew(world: World) -> None:
    async with world.running(max_attempts=1) as client:
        subscription = client.subscribe("bot", start="all")
        await world.commit("a", "a")
        await fail(subscription, 1)
        await until_letters(client, 1)
        async with Client(world.endpoint) as other:
            for params, code in (
                ({"name": "bot", "forget": True}, RetCode.SUBSCRIPTION_CONFLICT),
                ({"name": "none", "forget": True}, RetCode.NOT_SUBSCRIBED),
                ({"name": "bot"}, RetCode.NOT_SUBSCRIBED),
                ({"name": 7}, RetCode.BAD_PARAM),
                ({}, RetCode.BAD_PARAM),
            ):
                with pytest.raises(CommandError) as refused:
                    await other.call("events.unsubscribe", params)
                assert refused.value.retcode == code
        await client.call("events.unsubscribe", {"subscription": "bot", "forget": True})
        assert await letters(client) == []
        assert world.deliveries.status() == []
    async with world.running() as client:
        assert world.deliveries.status() == []
        assert [event.seq for event in await take(client.subscribe("bot", start="all"), 2)] == [1, 2]


async def test_a_tenant_forgets_only_subscriptions_to_its_own_events(world: World) -> None:
    async with world.running() as client:
        own, others = client.subscribe("own", tenant="t1"), client.subscribe("others", tenant="t2")
        everyones = client.subscribe("everyones")
        for subscription in (own, others, everyones):
            await subscription.open()
        for name in ("others", "everyones"):
            with pytest.raises(CommandError) as refused:
                await client.call("events.unsubscribe", {"name": name, "forget": True}, tenant="t1")
            assert refused.value.retcode == RetCode.NOT_SUBSCRIBED
        await client.call("events.unsubscribe", {"name": "own", "forget": True}, tenant="t1")
        await client.call("events.unsubscribe", {"name": "others"}, tenant="t1")  # open on its connection
        assert {(s.name, s.clients) for s in world.deliveries.status()} == {("others", 0), ("everyones", 1)}


# Replay.


async def collect(replay: AsyncIterator[IncomingEvent]) -> list[int | None]:
    async with asyncio.timeout(DEADLINE_S):
        return [event.seq async for event in replay]


async def test_a_replay_sends_its_range_and_ends(world: World) -> None:
    async with world.running() as client:
        await world.commit(*"abcdef")
        await world.commit("x", account="other", type="card.action", tenant="t2")
        assert await collect(client.replay()) == [1, 2, 3, 4, 5, 6, 7]
        assert await collect(client.replay(first=3, last=5)) == [3, 4, 5]
        assert await collect(client.replay(first=6, last=99)) == [6, 7]
        assert await collect(client.replay(first=5, last=4)) == []
        assert await collect(client.replay(first=99)) == []
        assert await collect(client.replay(accounts=["other"])) == [7]
        assert await collect(client.replay(types=["message.created"], first=6)) == [6]
        assert await collect(client.replay(tenant="t2")) == [7]
        assert await collect(client.replay(since=4.0)) == [4, 5, 6, 7]
        assert await collect(client.replay(since=0.0)) == [1, 2, 3, 4, 5, 6, 7]
        assert await collect(client.replay(since=99.0)) == []
        assert world.deliveries.status() == []
        assert not len(world.deliveries._replays)


async def test_a_replay_moves_nothing_and_its_acks_change_nothing(world: World) -> None:
    async with world.running() as client:
        await world.commit("a")
        async for event in client.replay():
            await event.ack()
            await event.nack()
        assert attempts(await take(client.subscribe("bot", start="all"), 1)) == [(1, 1)]


async def test_a_replay_goes_by_credit_and_ends_early_with_its_client(world: World) -> None:
    async with world.running() as client:
        await world.commit(*"abcdef")
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        socket = new_socket(context, zmq.DEALER, high_water=100)
        socket.connect(world.endpoint)

        async def receive(*kinds: str) -> Any:
            while True:
                await until(lambda: asyncio.sleep(0, bool(socket.poll(0))))
                frame = msgspec.msgpack.decode(socket.recv())
                if frame["kind"] in kinds:
                    return frame

        socket.send(encode(Request(id=1, method="events.replay", params={"credit": 2})))
        reply = await receive("reply")
        assert (reply["data"]["next_seq"], reply["data"]["last_seq"]) == (1, 6)
        name = reply["data"]["subscription"]
        assert [event["seq"] for event in (await receive("events"))["events"]] == [1, 2]
        socket.send(encode(Credit(name, 1)))
        assert [event["seq"] for event in (await receive("events"))["events"]] == [3]
        socket.send(encode(Credit(name, 3)))
        assert [event["seq"] for event in (await receive("events"))["events"]] == [4, 5, 6]
        assert await receive("events") == {"kind": "events", "subscription": name, "events": [], "end": True}
        socket.send(encode(Credit(name, 1)))
        assert (await receive("error"))["code"] == "not_subscribed"
        for how in ("unsubscribe", "close"):
            socket.send(encode(Request(id=how, method="events.replay", params={"credit": 0})))
            name = (await receive("reply"))["data"]["subscription"]
            assert name in world.deliveries._replays
            if how == "close":
                socket.close(0)
            else:
                params = {"subscription": name}
                socket.send(encode(Request(id=2, method="events.unsubscribe", params=params)))
                await receive("reply")
            await until(lambda: asyncio.sleep(0, not world.deliveries._replays), what="the replay is gone")
        context.term()
        assert (await client.call("hello"))["supervisor_id"]


async def test_a_replay_goes_on_behind_what_was_taken_when_the_supervisor_is_restarted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_REPLAY_CREDIT", 2)
    async with AsyncExitStack() as stack:
        async with world.running():
            await world.commit(*"abcdef")
            client = await stack.enter_async_context(Client(world.endpoint))
            replay = client.replay()
            taken = [event.seq for event in await take(replay, 3)]
        async with world.running():
            assert taken + await collect(replay) == [1, 2, 3, 4, 5, 6]


# Ephemeral readers.


async def test_a_tail_that_does_not_read_on_holds_a_bounded_window_and_delays_nobody(world: World) -> None:
    async with world.running() as client:
        slow = client.subscribe(credit=1)
        await slow.open()
        quick = client.subscribe("quick", credit=4_000)
        await quick.open()
        for turn in range(12):
            await world.commit(*(f"c{n}" for n in range(1_000)))
            events = await take(quick, 1_000)
            assert [event.seq for event in events] == list(range(turn * 1_000 + 1, turn * 1_000 + 1_001))
            for event in events:
                await event.ack()
        assert slow.name is not None
        window = world.deliveries._subscriptions[slow.name].window
        assert window.held_events <= 10_000
        status = await world.status(slow.name)
        assert (status.lag, status.in_flight) == (12_000, 1)
        await slow.close()
        assert slow.name not in world.deliveries._subscriptions
