"""Scenarios G: host and operator, by their ids."""

from __future__ import annotations

import pytest

from harness.longwire import Longwire, dingtalk, lark
from harness.simulator import Simulator


@pytest.mark.timeout(300)
async def test_g2_a_hundred_online_accounts_close_cleanly_before_honcho_would_kill(
    simulator: Simulator, longwire: Longwire
) -> None:
    accounts = {f"lark-{n}": lark(simulator.url, f"cli_{n:016x}") for n in range(50)}
    accounts |= {f"ding-{n}": dingtalk(simulator.url, f"ding{n}") for n in range(50)}
    longwire.configure(accounts)
    await longwire.start()
    await longwire.until_online(deadline_s=200)
    code, took = await longwire.stop()
    assert code == 0
    assert took < 5
    state = await simulator.state()
    apps = [*state.lark.values(), *state.dingtalk.values()]
    assert len(apps) == 100
    for app in apps:
        (connection,) = app.connections
        assert (connection.closed_by, connection.close_code) == ("client", 1000)
