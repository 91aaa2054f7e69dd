"""What the simulated platforms write down of a client, over real sockets."""

import pytest

from fakes.plain_lark import (
    APP,
    DEADLINE_S,
    Bot,
    lark_simulator,  # noqa: F401  a fixture
    ping,
    plain_bot,  # noqa: F401  a fixture
    receive,
    simulator_admin,  # noqa: F401  a fixture
)
from harness.waiting import until
from longwire_connectors.simulator import SimulatorClient
from longwire_connectors.simulator.errors import AdminRequestError
from longwire_connectors.simulator.fault_kinds import LarkNoPong, LarkPongConfig
from longwire_connectors.simulator.injections import DingTalkEvent, LarkEvent


async def test_the_diary_has_every_moment_of_a_connection(bot: Bot, admin: SimulatorClient) -> None:
    async with bot.connect() as socket:
        await ping(socket)
        await receive(socket)
        await admin.fault(LarkPongConfig(platform="lark", values={"PingInterval": 7}))
        await ping(socket)
        await receive(socket)
        await socket.ping()
        await socket.receive(timeout=DEADLINE_S)  # its pong
        await admin.inject_lark(LarkEvent(app=APP))
        await receive(socket)

    async def closed() -> bool:
        return (await admin.diary())[-1].what == "closed"

    await until(closed, what="the end is written down")
    entries = await admin.diary()
    told = [(entry.what, entry.value) for entry in entries]
    assert told[:3] == [("asked", None), ("paced", 90.0), ("opened", None)]
    assert ("pong", 90.0) in told
    assert ("pong", 7.0) in told
    assert {what for what, _ in told[3:]} == {"pong", "ws_pong", "frame", "closed"}
    assert len({entry.connection for entry in entries[1:]}) == 1
    assert [entry.number for entry in await admin.diary(after=2)] == [entry.number for entry in entries[2:]]


async def test_what_a_fault_withholds_is_not_in_the_diary(bot: Bot, admin: SimulatorClient) -> None:
    await admin.fault(LarkNoPong(platform="lark", times=1))
    async with bot.connect() as socket:
        await ping(socket)
        await ping(socket)
        await receive(socket)
        assert [entry.what for entry in await admin.diary()].count("pong") == 1


async def test_a_dingtalk_event_without_a_connection_leaves_no_entry(admin: SimulatorClient) -> None:
    await admin.inject_dingtalk(DingTalkEvent(app="nobody"))
    assert await admin.diary() == []


async def test_a_number_of_an_entry_that_is_none_is_refused(admin: SimulatorClient) -> None:
    with pytest.raises(AdminRequestError, match="number of an entry"):
        await admin.diary(after=-1)
