"""Calls of a child to its platform, with real processes: what hangs there holds up nothing here."""

from __future__ import annotations

import asyncio

from harness.longwire import Longwire, lark
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.fault_kinds import ApiHang

APP = "cli_00000000000000aa"


async def test_a_stop_closes_the_link_properly_while_a_call_to_the_platform_hangs(
    simulator: Simulator, longwire: Longwire
) -> None:
    longwire.configure({"bot": lark(simulator.url, APP)}, defaults={"stop_timeout_s": 8.0})
    await longwire.start()
    await longwire.until_online()
    await longwire.client.send("bot", "oc_1", text="a connection that is kept")
    await simulator.fault(ApiHang(platform="lark", call="send", times=1))
    call = asyncio.create_task(longwire.client.send("bot", "oc_1", text="never answered"))
    await until(lambda: _is_taken(simulator), what="the platform has the call")
    code, _ = await longwire.stop()
    assert code == 0
    await asyncio.gather(call, return_exceptions=True)
    (connection,) = (await simulator.app_state("lark", APP)).connections
    assert (connection.closed_by, connection.close_code) == ("client", 1000)


async def _is_taken(simulator: Simulator) -> bool:
    return not await simulator.faults()
