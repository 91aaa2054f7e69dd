"""Scenarios G: host and operator, by their ids."""

from __future__ import annotations

import signal

import pytest

from harness.longwire import Longwire, dingtalk, lark
from harness.simulator import Simulator
from harness.waiting import until


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


async def test_g3_a_hangup_touches_only_the_accounts_that_changed(
    simulator: Simulator, longwire: Longwire
) -> None:
    kept, changed, removed, added = (f"cli_{n:016x}" for n in range(4))
    accounts = {
        "kept": lark(simulator.url, kept),
        "changed": lark(simulator.url, changed),
        "removed": lark(simulator.url, removed),
    }
    longwire.configure(accounts)
    await longwire.start()
    await longwire.until_online()
    before = await longwire.account("kept")
    accounts["changed"] = lark(simulator.url, changed, link_timeout_s=30.0)
    accounts["added"] = lark(simulator.url, added)
    del accounts["removed"]
    longwire.configure(accounts)
    longwire.program.send(signal.SIGHUP)

    async def reloaded() -> bool:
        names = [account["account"] for account in (await longwire.status())["accounts"]]
        return sorted(names) == ["added", "changed", "kept"]

    await until(reloaded, what="the accounts are those of the new file")
    await longwire.until_online("added", "changed")
    after = await longwire.account("kept")
    assert (after["pid"], after["since"] - before["since"] < 1) == (before["pid"], True)
    state = await simulator.state()
    totals = [state.lark[app].connections_total for app in (kept, changed, removed, added)]
    assert totals == [1, 2, 1, 1]
    assert state.lark[removed].connections_open == 0


async def test_g3_a_hangup_with_a_mistake_in_the_file_changes_nothing(longwire: Longwire) -> None:
    longwire.configure({"a": {"connector": "loopback"}})
    await longwire.start()
    await longwire.until_online()
    before = await longwire.account("a")
    longwire.configure({"a": {"connector": "loopback", "mistake": 1}})
    longwire.program.send(signal.SIGHUP)

    async def refused() -> bool:
        return bool(longwire.log_events("reload_refused"))

    await until(refused, what="the mistake is logged")
    assert (await longwire.account("a"))["pid"] == before["pid"]
