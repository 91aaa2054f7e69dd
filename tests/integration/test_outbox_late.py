"""Answers and disks that come late: what is told stays true."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from fakes.configuration import one, read
from fakes.journal import Gate, no_thread_stays, path_fixture  # noqa: F401  # pytest finds them here
from fakes.outbox import World
from harness.waiting import until
from longwire.child import Child, Yard
from longwire.inquiries import answer_of
from longwire.outbox import State
from longwire.outbox.clock import _ticks
from longwire_protocol.errors import RetCode
from longwire_protocol.event import Event
from longwire_protocol.frames import Command, CommandResult, ToChild


@pytest.fixture(name="world")
def world_fixture(path: Path) -> World:
    return World(path)


async def test_a_command_that_is_on_disk_only_after_its_deadline_is_never_carried_out(world: World) -> None:
    gate = Gate()
    async with world.running(gate=gate):
        with pytest.raises(TimeoutError):
            await world.send("a", key="k", deadline_s=0.05)
        gate.open.set()

        async def told() -> list[Event]:
            return await world.events()

        (event,) = await until(told, what="its end is told")
        assert (event.type, event.raw["state"]) == ("delivery.updated", State.EXPIRED)
        assert not world.account.told


async def test_what_was_late_when_a_suspended_machine_woke_up_is_not_carried_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.running():
        world.account.is_up = False
        sending = asyncio.ensure_future(world.send("a", deadline_s=60.0))

        async def is_queued() -> bool:
            return world.outbox.status().queued == 1

        await until(is_queued, what="it is queued")
        monkeypatch.setattr("longwire.outbox.clock._ticks", lambda: _ticks() + 3600.0)
        world.account.is_up = True
        world.look()
        assert (await sending).state is State.EXPIRED
        assert not world.account.told


class Unread:
    """In place of the children's socket: the answer to each command waits there until somebody reads."""

    waiting: CommandResult | None = None
    child: Child

    def send(self, _peer: object, frame: ToChild) -> bool:
        assert isinstance(frame, Command)
        self.waiting = CommandResult(id=frame.id, retcode=RetCode.OK, data={"message_id": "m"})
        return True

    def drain(self) -> None:
        if self.waiting is not None:
            self.child.on_frame(cast("Any", None), self.waiting)


@pytest.mark.parametrize(
    ("answers", "retcode"), [(True, RetCode.OK), (False, RetCode.DEADLINE_EXCEEDED)], ids=["it", "none"]
)
async def test_an_answer_that_waits_in_the_socket_of_a_stopped_supervisor_counts(
    *, answers: bool, retcode: RetCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it, what a robot sent meanwhile would be called uncertain."""
    monkeypatch.setattr("longwire.inquiries._ANSWER_S", 0.0)
    hub: Any = Unread()
    if not answers:
        hub.drain = lambda: None
    yard = Yard(hub, *cast("Any", (None, None, None)))
    hub.child = Child(read(one()).accounts["acme"], 1, yard=yard, owner=cast("Any", None), bot=None)
    begin = partial(hub.child.inquiries.begin, "message.create", {}, deadline_s=0.0, key=None)
    result = await answer_of(begin)
    assert result.retcode == retcode


async def test_what_has_expired_gives_its_key_back_and_what_was_done_does_not(world: World) -> None:
    async with world.running():
        world.account.is_up = False
        expired = await world.send("a", key="k", deadline_s=0.05)
        assert expired.state is State.EXPIRED
    async with world.running() as outbox:
        world.account.is_up = True
        done = await world.send("a", key="k")
        again = await world.send("a", key="k")
        assert (done.state, again.receipt) == (State.DONE, done.receipt)
        assert (await outbox.find(expired.receipt)) == expired
    assert world.account.texts == ["a"]
