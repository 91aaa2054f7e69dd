"""A test bench for the DingTalk connector: the real SDK against the simulator, without a parent.

A test module gets the fixtures by importing them; two of them watch each of its tests unasked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from fakes.host import FakeHost, FakeLink
from harness.waiting import until
from longwire_connectors.dingtalk.connector import DingTalkConnector
from longwire_connectors.dingtalk.options import DingTalkOptions
from longwire_connectors.simulator import DingTalkEvent, Simulator, SimulatorClient
from longwire_connectors.simulator.counters import AppState
from longwire_protocol.link import LinkFailure

APP = "dingsim"
SECRET = "a-very-secret-value"
DEADLINE_S = 30.0
FORBIDDEN = (
    "never retrieved",
    "was destroyed but it is pending",
    "attached to a different loop",
    "Event loop is closed",
    "Logging error",
    "sendBySession",
    "ticket=",
    SECRET,
)


class Rig:
    """A simulator, its admin plane, and a connector with its host."""

    def __init__(self, url: str, admin: SimulatorClient) -> None:
        self.url, self.admin = url, admin
        self.host = FakeHost(platform="dingtalk")
        self.connector = self.new_connector()

    def new_connector(self, *, secret: str = SECRET, url: str | None = None) -> DingTalkConnector:
        options = DingTalkOptions(client_id=APP, client_secret=secret, api_base=f"{url or self.url}/")
        connector = DingTalkConnector(options, self.host)
        connector.load()
        return connector

    async def state(self) -> AppState:
        return await self.admin.app_state("dingtalk", APP)

    async def inject(self, **fields: object) -> list[str]:
        made = await self.admin.inject_dingtalk(DingTalkEvent(app=APP, **fields))
        return [ids.message_id for ids in made]

    async def reaches(self, condition: Callable[[AppState], bool]) -> AppState:
        async def holds() -> bool:
            return condition(await self.state())

        await until(holds)
        return await self.state()

    async def round_trip(self) -> None:
        """Return when what was sent before has been dealt with: frames are read and answered in order."""
        before = (await self.state()).acked
        await self.inject(kind="ping")
        await self.reaches(lambda state: state.acked > before)

    @asynccontextmanager
    async def online(self, link: FakeLink) -> AsyncIterator[asyncio.Task[LinkFailure]]:
        task = asyncio.create_task(self.connector.serve(link), name="serve")
        try:
            async with asyncio.timeout(DEADLINE_S):
                await link.is_proven.wait()
            yield task
        finally:
            await stop(task)

    async def attempt(self, link: FakeLink | None = None) -> LinkFailure:
        async with asyncio.timeout(DEADLINE_S):
            return await self.connector.serve(link or FakeLink())


async def stop(task: asyncio.Task[LinkFailure]) -> None:
    task.cancel()
    await asyncio.wait([task], timeout=DEADLINE_S)
    assert task.done()


@pytest.fixture(autouse=True)
def nothing_forbidden_is_logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    written = capfd.readouterr()
    text = "\n".join(record.getMessage() for record in caplog.get_records("call"))
    for where in (text, caplog.text, written.out, written.err):
        found = [words for words in FORBIDDEN if words in where]
        assert found == [], found


@pytest.fixture(autouse=True)
async def nothing_is_left_running() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    left = {task for task in asyncio.all_tasks() - before if "dingtalk" in task.get_name()}
    assert left == set(), left


@pytest.fixture(name="rig")
async def running_rig() -> AsyncIterator[Rig]:
    async with Simulator(time_scale=1000.0) as simulator, SimulatorClient(simulator.url) as admin:
        rig = Rig(simulator.url, admin)
        yield rig
        await rig.connector.close()
