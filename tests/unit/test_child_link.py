"""What a child does of what its parent says about the link, in whatever order that is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from harness.waiting import until
from longwire_connectors import runtime
from longwire_connectors.base import Connector, Link
from longwire_connectors.loopback import LoopbackConnector
from longwire_protocol.channel import Sent
from longwire_protocol.codec import Decoder, encode
from longwire_protocol.frames import (
    Bootstrap,
    Connect,
    Disconnect,
    FromChild,
    LinkLost,
    LinkUp,
    Stop,
    Stopped,
    ToChild,
)
from longwire_protocol.link import LinkFailure

_decode = Decoder[FromChild](FromChild)


class Line:
    """The parent's end of the line, in this process."""

    present: Line

    def __init__(self, endpoint: str, receive: Callable[[list[bytes]], None], *, on_writable: object) -> None:
        del endpoint, on_writable
        self._receive = receive
        self.heard: list[FromChild] = []
        Line.present = self

    def send(self, parts: list[bytes]) -> Sent:
        self.heard.append(_decode(parts[0]))
        return Sent.OK

    def says(self, *frames: ToChild) -> None:
        """Have the child read these in one go."""
        for frame in frames:
            self._receive([encode(frame)])

    def heard_of(self, kind: type[FromChild]) -> list[Any]:
        return [frame for frame in self.heard if isinstance(frame, kind)]

    async def wait_for(self, kind: type[FromChild], *, times: int = 1) -> list[Any]:
        async def is_there() -> bool:
            return len(self.heard_of(kind)) >= times

        await until(is_there, what=f"{times} {kind.__name__}")
        return self.heard_of(kind)

    def close(self) -> None:
        return


class Patiently(LoopbackConnector):
    """Is up at once and for ever, unless it is cancelled."""

    async def serve(self, link: Link) -> LinkFailure:
        link.proven("here")
        await asyncio.Event().wait()
        raise AssertionError


class CancelsItself(Patiently):
    async def serve(self, link: Link) -> LinkFailure:
        del link
        raise asyncio.CancelledError


@asynccontextmanager
async def living(connector: type[Connector] = Patiently) -> AsyncIterator[Line]:
    """Run a child of this connector; it has stopped when this is left."""
    bootstrap = Bootstrap(
        account="bot",
        tenant="acme",
        connector="loopback",
        incarnation=1,
        endpoint="",
        token="",
        options={},
        heartbeat_interval_s=1.0,
        link_timeout_s=60.0,
        is_link_timeout_explicit=False,
        bot=None,
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(runtime.Child(bootstrap, connector).run())
        await asyncio.sleep(0)
        line = Line.present
        yield line
        line.says(Stop(grace_s=1.0))
        await running


@pytest.fixture(autouse=True)
def _on_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "Line", Line)
    monkeypatch.setattr(runtime.gc, "freeze", lambda: None)


async def test_an_old_disconnect_does_not_touch_the_link_that_is_asked_for_behind_it() -> None:
    async with living() as parent:
        parent.says(Disconnect("platform_silent"), Connect())
        await parent.wait_for(LinkUp)
        assert parent.heard_of(LinkLost) == []


async def test_a_link_given_up_before_its_first_step_is_reported_and_the_next_one_begins() -> None:
    async with living() as parent:
        parent.says(Connect(), Disconnect("platform_silent"))
        lost = await parent.wait_for(LinkLost)
        assert lost[0].failure.reason == "platform_silent"
        parent.says(Connect())
        await parent.wait_for(LinkUp)


async def test_a_link_that_is_given_up_twice_is_reported_once_and_the_next_one_is_let_be() -> None:
    async with living() as parent:
        parent.says(Connect())
        await parent.wait_for(LinkUp)
        parent.says(Disconnect("link_timeout"), Disconnect("platform_silent"))
        await parent.wait_for(LinkLost)
        parent.says(Connect())
        await parent.wait_for(LinkUp, times=2)
        assert len(parent.heard_of(LinkLost)) == 1


async def test_an_attempt_that_somebody_else_cancels_is_reported_as_a_failure_of_ours() -> None:
    async with living(CancelsItself) as parent:
        parent.says(Connect())
        lost = await parent.wait_for(LinkLost)
        assert lost[0].failure.reason == "connector_error"


async def test_a_stop_closes_the_link_without_a_report_of_its_loss() -> None:
    async with living() as parent:
        parent.says(Connect())
        await parent.wait_for(LinkUp)
    assert parent.heard_of(LinkLost) == []
    assert len(parent.heard_of(Stopped)) == 1
