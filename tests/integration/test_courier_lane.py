"""A lane over a line and a poster of the test's own: what it does when what should not happen does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import msgspec
import pytest

from fakes.peers import true
from fakes.posting import target
from longwire.courier.dressing import Wardrobe
from longwire.courier.errors import Failed
from longwire.courier.http import Answer, Poster
from longwire.courier.lane import Lane
from longwire.courier.permits import Permits
from longwire.courier.target import Target
from longwire_protocol.breaker import FAILURES
from longwire_protocol.client import Client
from longwire_protocol.errors import LongwireError
from longwire_protocol.event import Chat, Delivery, Event
from longwire_protocol.messages import Ack, Credit, Events, Nack
from longwire_protocol.subscription import Subscription


class Line:
    """A supervisor that opens what it is asked for, with the credit it was given, and hears."""

    def __init__(self) -> None:
        self.openings: list[int] = []
        self.heard: list[Ack | Nack | Credit] = []
        self.subscription: Subscription | None = None
        self._numbers = iter(range(1, 1_000_000))

    def tell(self, frame: Ack | Nack | Credit) -> bool:
        self.heard.append(frame)
        return True

    def new_id(self) -> int:
        return next(self._numbers)

    def await_pong(self, number: int, subscription: Subscription) -> None:
        subscription.caught_up(number)  # nothing is on its way here

    def open_subscription(
        self, subscription: Subscription, _method: str, params: dict[str, Any]
    ) -> asyncio.Future[LongwireError | None]:
        opened: asyncio.Future[LongwireError | None] = asyncio.get_running_loop().create_future()
        self.openings.append(params["credit"])
        subscription.opened(params["name"])
        self.subscription = subscription
        opened.set_result(None)
        return opened

    async def close_subscription(self, _subscription: Subscription) -> None:
        self.subscription = None

    def send(self, *seqs: int) -> None:
        assert self.subscription is not None
        self.subscription.deliver(
            Events("webhook:crm", [msgspec.Raw(msgspec.msgpack.encode(_event(seq))) for seq in seqs])
        )

    @property
    def acked(self) -> list[int]:
        return [seq for frame in self.heard if isinstance(frame, Ack) for seq in frame.seqs]

    @property
    def nacked(self) -> list[int]:
        return [frame.seq for frame in self.heard if isinstance(frame, Nack)]


class Post:
    """Does what stands next; answers 200 when nothing does."""

    def __init__(self, *steps: Exception | asyncio.Event) -> None:
        self.steps = [*steps]

    async def post(self, _target: Target, _body: bytes, _headers: Mapping[str, str]) -> Answer:
        match self.steps.pop(0) if self.steps else None:
            case Exception() as exc:
                raise exc
            case asyncio.Event() as end:
                await end.wait()
            case _:
                pass
        return Answer(200, {}, b"")


class Ground:
    """What a lane stands on, and the lane."""

    key = "key"

    def __init__(self, tasks: asyncio.TaskGroup, **settings: Any) -> None:
        self.tasks = tasks
        self.line = Line()
        self.client = cast("Client", self.line)
        self.post = Post()
        self.poster = cast("Poster", self.post)
        self.permits, self.wardrobe = Permits(), Wardrobe()
        self.reports: list[tuple[str, int]] = []
        self.lane = Lane(target("http://127.0.0.1:9/", **settings), self)
        self._life = tasks.create_task(self.lane.run(), name="lane")

    def changed(self, lane: Lane) -> None:
        report = lane.report()
        self.reports.append((report.state, report.queued))

    def disabled(self, lane: Lane, message: str) -> None:
        raise AssertionError(lane, message)

    async def until_open(self) -> None:
        await true(lambda: self.line.subscription is not None)

    def end(self) -> None:
        self._life.cancel()


@pytest.fixture
async def ground() -> AsyncIterator[Ground]:
    async with asyncio.TaskGroup() as tasks:
        made = Ground(tasks, breaker_open_s=0.1)
        await made.until_open()
        yield made
        made.end()


async def test_an_event_that_cannot_be_posted_fails_and_the_others_go_on(ground: Ground) -> None:
    ground.post.steps = [ZeroDivisionError()]
    ground.line.send(1, 2)
    await true(lambda: ground.line.acked == [2])
    assert ground.line.nacked == [1]
    assert len(ground.line.openings) == 1, "it was not left"
    error = ground.lane.report().last_error
    assert error is not None
    assert error.message == "could not be posted: ZeroDivisionError"


async def test_a_probe_that_breaks_on_something_of_ours_is_followed_by_another(ground: Ground) -> None:
    ground.post.steps = [*[Failed("down")] * FAILURES, ZeroDivisionError()]
    ground.line.send(*range(1, FAILURES + 1))
    await true(lambda: len(ground.line.openings) == 2 and ground.line.subscription is not None)
    ground.line.send(6)
    await true(lambda: ground.line.nacked == [1, 2, 3, 4, 5, 6])
    await true(lambda: len(ground.line.openings) == 3 and ground.line.subscription is not None)
    ground.line.send(7)
    await true(lambda: ground.line.acked == [7])
    assert ground.lane.report().breaker == "closed"


async def test_while_a_target_rests_nothing_of_it_is_said_to_wait_in_the_courier(ground: Ground) -> None:
    ground.post.steps = [Failed("down")] * FAILURES
    ground.line.send(*range(1, 20))
    await true(lambda: ground.reports[-1][0] == "resting" and ground.line.subscription is None)
    assert ground.reports[-1] == ("resting", 0)


def _event(seq: int) -> Event:
    return Event(
        seq=seq,
        id=f"id-{seq}",
        type="message.created",
        time=0.0,
        recv_time=0.0,
        tenant="acme",
        account="bot",
        platform="lark",
        chat=Chat(id=f"chat-{seq}", type="group"),
        delivery=Delivery(attempt=1, redelivered=False),
    )
