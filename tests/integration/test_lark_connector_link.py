"""How the Lark connector, with the real SDK, proves its link, keeps it and lets go of it."""

import asyncio
import sys
import time
from itertools import pairwise
from typing import Any

import pytest

from fakes.host import FakeHost
from fakes.lark_bench import (
    DEADLINE_S,
    Bench,
    answer_with,
    benches,
    lark_bench,  # noqa: F401  a fixture
    lark_host,  # noqa: F401  a fixture
    loose_ends,  # noqa: F401  a fixture
    mute_server,
)
from longwire_connectors.simulator.fault_kinds import (
    DiscoveryHang,
    FaultBase,
    LarkClientConfig,
    LarkPongConfig,
)


async def test_a_connection_is_proven_by_the_first_pong_and_has_the_platforms_name(bench: Bench) -> None:
    await bench.proven()
    state = await bench.reaches(lambda state: state.ws_pings >= 1)
    assert bench.link.connection is not None
    assert bench.link.connection.isdigit()
    assert (state.pings, state.connections_open, state.discovery_calls) == (1, 1, 1)
    await bench.until(lambda: bench.link.pongs >= 1)
    assert bench.link.platform_timeout_s == 270.0


async def test_the_link_timeout_an_operator_chose_is_the_pong_window_where_it_is_longer() -> None:
    async with benches(host=FakeHost(platform="lark", link_timeout_s=120.0, explicit=True)) as bench:
        await bench.proven()
        await bench.until(lambda: bench.link.platform_timeout_s == 120.0)


@pytest.mark.parametrize("value", [0, -5, None, "often", 1e300, 10**30])
async def test_senseless_timings_make_no_ping_storm_and_end_no_pings(bench: Bench, value: Any) -> None:
    await bench.fault(LarkClientConfig(platform="lark", values={"PingInterval": value}))
    await bench.proven()
    await bench.inject(count=10)
    await bench.reaches(lambda state: state.acked == 10)
    assert (await bench.state()).pings <= 2
    assert bench.link.platform_timeout_s in (3.0, 360.0, 1800.0)


@pytest.mark.parametrize(
    "fault",
    [
        LarkClientConfig(platform="lark", missing=["PingInterval", "ReconnectCount"]),
        LarkPongConfig(platform="lark", missing=["PingInterval"]),
        LarkPongConfig(platform="lark", is_empty=True),
    ],
)
async def test_missing_timings_leave_those_in_force(bench: Bench, fault: FaultBase) -> None:
    await bench.fault(fault)
    await bench.proven()
    await bench.until(lambda: bench.link.platform_timeout_s in (270.0, 360.0))


async def test_a_shorter_interval_pushed_in_a_pong_holds_at_once(bench: Bench) -> None:
    await bench.fault(LarkPongConfig(platform="lark", values={"PingInterval": 1}))
    await bench.proven()
    await bench.reaches(lambda state: state.pongs >= 3)
    assert bench.link.platform_timeout_s == 3.0


async def test_the_loop_turns_while_discovery_hangs(bench: Bench) -> None:
    await bench.fault(DiscoveryHang(platform="lark"))
    bench.serve()
    await bench.reaches(lambda state: state.discovery_calls == 1)
    ticks = [time.monotonic()]
    while ticks[-1] - ticks[0] < 0.5:
        await asyncio.sleep(0.01)
        ticks.append(time.monotonic())
    assert max(later - earlier for earlier, later in pairwise(ticks)) < 0.4
    assert bench.serving is not None
    assert not bench.serving.done()


async def test_a_process_that_was_stopped_reads_before_it_judges() -> None:
    async with benches(host=FakeHost(platform="lark", link_timeout_s=1.0)) as bench:
        await bench.fault(LarkClientConfig(platform="lark", values={"PingInterval": 1}))
        await bench.proven()
        time.sleep(3.3)  # noqa: ASYNC251  what is tested: the loop stands still, longer than every window
        answers = bench.link.platform_answers
        await bench.until(lambda: bench.link.platform_answers >= answers + 2)
        assert (await bench.state()).connections_total == 1


async def test_a_stop_closes_with_code_1000_and_leaves_no_connection(bench: Bench) -> None:
    await bench.proven()
    assert await bench.stop() < 2.0
    state = await bench.reaches(lambda state: state.connections_open == 0)
    (connection,) = state.connections
    assert (connection.closed_by, connection.close_code) == ("client", 1000)
    assert bench.serving is not None
    assert bench.serving.cancelled()


async def test_events_stored_during_a_stop_are_still_acked(bench: Bench) -> None:
    await bench.proven(stores=False)
    await bench.inject(count=5)
    await bench.link.wait_for_events(5)
    asyncio.get_running_loop().call_later(0.05, bench.link.storing.set)
    assert await bench.stop() < 2.0
    state = await bench.reaches(lambda state: state.connections_open == 0)
    assert state.acked == 5
    assert state.connections[0].close_code == 1000


async def test_a_stop_with_a_journal_that_never_answers_is_quick(bench: Bench) -> None:
    await bench.proven(stores=False)
    await bench.inject(count=5)
    await bench.link.wait_for_events(5)
    assert await bench.stop() < 2.0
    state = await bench.reaches(lambda state: state.connections_open == 0)
    assert (state.acks, state.connections[0].close_code) == (0, 1000)


async def test_a_stop_while_discovery_hangs_is_prompt_and_nothing_connects_later(bench: Bench) -> None:
    await bench.fault(DiscoveryHang(platform="lark", for_s=1.0))
    bench.serve()
    await bench.reaches(lambda state: state.discovery_calls == 1)
    assert await bench.stop() < 0.5
    await bench.admin.clear_faults()
    # The hanging call ends with the simulator; until then a second attempt shows that the first is over.
    await bench.proven()
    assert (await bench.state()).connections_total == 1


async def test_a_stop_while_the_websocket_opens_is_prompt_and_cuts_it(bench: Bench) -> None:
    async with mute_server() as (url, came, went), asyncio.timeout(DEADLINE_S):
        await bench.fault(answer_with(url))
        bench.serve()
        await came.wait()
        assert await bench.stop() < 0.5
        await went.wait()


async def test_many_attempts_leave_nothing_behind(bench: Bench) -> None:
    for _ in range(10):
        await bench.proven()
        await bench.stop()
    state = await bench.reaches(lambda state: state.connections_open == 0)
    assert (state.connections_total, state.connections_max_open) == (10, 1)
    assert {connection.close_code for connection in state.connections} == {1000}


LOADS = """
import asyncio, os, sys
from longwire_connectors.lark import sdk
if "fail" in sys.argv:
    def fail(spec):
        sys.modules["lark_oapi.made_up"] = object()
        raise LookupError("a version the recipe does not suit")
    sdk._import_lean = fail
sdk.load(), sdk.load()
import lark_oapi.ws.client as ws
is_lean = len([name for name in sys.modules if name.startswith("lark_oapi")]) < 100
paths = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
has_epoll = any("eventpoll" in os.readlink(path) for path in paths if os.path.lexists(path))
print(is_lean, ws.loop, has_epoll, asyncio.run(asyncio.sleep(0, "runs")))
import lark_oapi
print(lark_oapi.Client.__name__, lark_oapi.ws.Client is ws.Client)
"""


@pytest.mark.parametrize(("argument", "is_lean"), [("lean", "True"), ("fail", "False")])
async def test_the_sdk_is_loaded_lean_or_in_full_and_leaves_no_loop_behind(
    argument: str, is_lean: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        LOADS,
        argument,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60.0):
        out, _ = await process.communicate()
    assert out.decode().splitlines() == [f"{is_lean} None False runs", "Client True"]
