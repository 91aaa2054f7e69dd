"""The Lark connector with the real SDK against the simulator, and the fixtures of its tests."""

import asyncio
import gc
import json
import logging
import re
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from fakes.host import FakeHost, FakeLink
from longwire_connectors.lark.connector import LarkConnector, LarkOptions
from longwire_connectors.simulator import LarkEvent, Simulator, SimulatorClient
from longwire_connectors.simulator.counters import AppState
from longwire_connectors.simulator.fault_kinds import (
    ApiHang,
    DiscoveryBadJson,
    DiscoveryHang,
    FaultBase,
)
from longwire_protocol.link import LinkFailure

APP = "cli_0123456789abcdef"
SECRET = "made-up-secret"
DEADLINE_S = 20.0
FORBIDDEN = (
    "never retrieved",
    "was destroyed but it is pending",
    "attached to a different loop",
    "Event loop is closed",
    SECRET,
    "access_key=",
    "ticket=",
)


class Bench:
    """A connector at work, and the simulator it talks to."""

    def __init__(self, admin: SimulatorClient, connector: LarkConnector, host: FakeHost) -> None:
        self.admin, self.connector, self.host = admin, connector, host
        self.options = connector._options
        self.url = self.options.base
        self.link = FakeLink()
        self.has_hanging_calls = False
        self.serving: asyncio.Task[LinkFailure] | None = None

    def serve(self, *, stores: bool = True) -> asyncio.Task[LinkFailure]:
        self.link = FakeLink(stores=stores)
        self.serving = asyncio.create_task(self.connector.serve(self.link), name="serve")
        return self.serving

    async def fails(self) -> LinkFailure:
        async with asyncio.timeout(DEADLINE_S):
            return await self.serve()

    async def proven(self, *, stores: bool = True) -> None:
        self.serve(stores=stores)
        async with asyncio.timeout(DEADLINE_S):
            await self.link.is_proven.wait()

    async def stop(self) -> float:
        """Cancel as the run time does, and return how many seconds that took."""
        started = time.monotonic()
        if self.serving is not None:
            self.serving.cancel()
            async with asyncio.timeout(DEADLINE_S):
                await asyncio.gather(self.serving, return_exceptions=True)
        return time.monotonic() - started

    async def state(self) -> AppState:
        return await self.admin.app_state("lark", APP)

    async def reaches(self, condition: Callable[[AppState], bool]) -> AppState:
        async with asyncio.timeout(DEADLINE_S):
            while not condition(state := await self.state()):  # noqa: ASYNC110  only seen by asking
                await asyncio.sleep(0.01)
        return state

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110  what it waits for is only seen by looking
                await asyncio.sleep(0.005)

    async def fault(self, fault: FaultBase) -> None:
        self.has_hanging_calls |= isinstance(fault, DiscoveryHang | ApiHang)
        await self.admin.fault(fault)

    async def inject(self, **event: Any) -> None:
        await self.admin.inject_lark(LarkEvent(app=APP, **event))


async def no_threads() -> None:
    """Wait until the calls that were left behind are over: nothing joins their threads."""
    async with asyncio.timeout(DEADLINE_S):
        while any(thread.name.startswith("lark") for thread in threading.enumerate()):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@asynccontextmanager
async def benches(
    *, host: FakeHost, time_scale: float = 1000.0, secret: str = SECRET, strict: bool = False
) -> AsyncIterator[Bench]:
    async with (
        Simulator(time_scale=time_scale, strict=strict) as simulator,
        SimulatorClient(simulator.url) as admin,
    ):
        if not strict:
            await admin.register("lark", app=APP, secret=SECRET, name="Acme Bot")
        options = LarkOptions(app_id=APP, app_secret=secret, domain=simulator.url + "/")
        connector = LarkConnector(options, host)
        assert re.fullmatch(r"lark-oapi 1\.\S+, websockets \S+", connector.load())
        bench = Bench(admin, connector, host)
        try:
            yield bench
        finally:
            await bench.stop()
            await connector.close()
            if not bench.has_hanging_calls:
                await no_threads()


@asynccontextmanager
async def mute_server() -> AsyncIterator[tuple[str, asyncio.Event, asyncio.Event]]:
    """Accept connections and say nothing: its URL, and whether one came and went."""
    came, went = asyncio.Event(), asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        with suppress(ConnectionError):
            while await reader.read(65536):
                pass
        writer.close()
        went.set()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}/ws?device_id=1&service_id=2", came, went


def answer_with(url: str) -> DiscoveryBadJson:
    return DiscoveryBadJson(platform="lark", body=json.dumps({"code": 0, "data": {"URL": url}}))


@pytest.fixture(name="host")
def lark_host() -> FakeHost:
    return FakeHost(platform="lark")


@pytest.fixture(name="bench")
async def lark_bench(host: FakeHost) -> AsyncIterator[Bench]:
    async with benches(host=host) as bench:
        yield bench


@pytest.fixture(autouse=True)
async def loose_ends(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Fail a test that leaves a task behind, or a log line that tells of one or of a secret."""
    caplog.set_level(logging.DEBUG, logger="longwire_connectors")
    caplog.set_level(logging.DEBUG, logger="asyncio")  # its own complaints are looked through, too
    yield
    await no_threads()
    gc.collect()
    await asyncio.sleep(0)
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert left == [], left
    text = "\n".join(f"{record.getMessage()} {record.exc_text}" for record in caplog.records)
    told = [forbidden for forbidden in FORBIDDEN if forbidden in text]
    assert told == [], told
