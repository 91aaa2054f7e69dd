"""Scenario G11: all accounts of a platform fail in the same second."""

from __future__ import annotations

import os
import signal
import time
from typing import Any, Literal

import pytest

from harness.longwire import Longwire, dingtalk, lark
from harness.scenario import SLACK_S
from harness.simulator import Simulator
from harness.waiting import stays, until
from longwire_connectors.simulator.fault_kinds import (
    DingTalkOpenStatus,
    FaultBase,
    LarkDiscoveryCode,
    LarkDiscoveryStatus,
)

Platform = Literal["lark", "dingtalk"]
CAP_S = 4.0
QUICK = {"backoff_initial_s": 0.5, "backoff_max_s": CAP_S}


def fleet(simulator: Simulator, platform: Platform, count: int, **more: Any) -> dict[str, dict[str, Any]]:
    make = lark if platform == "lark" else dingtalk
    prefix = "cli_" if platform == "lark" else "ding"
    apps = [f"{prefix}{number:016x}" for number in range(count)]
    return {app: make(simulator.url, app, **{**QUICK, **more}) for app in apps}


async def accounts(longwire: Longwire) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await longwire.status())["accounts"]
    return found


async def outages(longwire: Longwire) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await longwire.status())["supervisor"]["outages"]
    return found


async def calls(simulator: Simulator, platform: Platform) -> list[float]:
    """Return when the platform was asked, by all apps."""
    states = getattr(await simulator.state(), platform)
    return sorted(at for state in states.values() for at in state.discovery_times)


@pytest.mark.parametrize(
    ("platform", "refusal"),
    [
        ("lark", LarkDiscoveryCode(platform="lark", code=10014, msg="app secret invalid")),
        ("lark", LarkDiscoveryStatus(platform="lark", status=502)),
        ("dingtalk", DingTalkOpenStatus(platform="dingtalk", status=401)),
    ],
    ids=["lark says the secrets are wrong", "lark is down", "dingtalk says the secrets are wrong"],
)
async def test_g11_accounts_that_fail_together_are_slowed_together_and_none_is_parked(
    simulator: Simulator, longwire: Longwire, platform: Platform, refusal: FaultBase
) -> None:
    """The platform cuts all and refuses all, even for good: nobody is believed to be at fault.

    Alone: by its code, each process for itself, at the same fixed interval, for ever; with ReconnectCount set
    all give up for good.
    """
    longwire.configure(fleet(simulator, platform, 12))
    await longwire.start()
    await longwire.until_online()
    down = await simulator.fault(refusal)
    await simulator.drop(platform, how="abort")

    async def recognised() -> list[dict[str, Any]]:
        return await outages(longwire)

    (outage,) = await until(recognised, what="an outage")
    assert (outage["connector"], outage["accounts"] >= 5) == (platform, True)

    async def tried_all() -> bool:
        states = [account for account in await accounts(longwire) if account["attempt"] >= 1]
        return len(states) == 12 and all(a["reason"] == "platform_outage" for a in states)

    await until(tried_all, what="every account says what it waits for")
    before = len(await calls(simulator, platform))

    async def nobody_is_parked() -> bool:
        return all(account["state"] != "parked" for account in await accounts(longwire))

    await stays(nobody_is_parked, what="nobody is parked", for_s=4)
    asked = len(await calls(simulator, platform)) - before
    assert asked <= 4 + 1 + 2 * SLACK_S, "one probe a second, where the law alone would give four"
    await simulator.clear_faults(down)
    back = time.monotonic()
    await longwire.until_online()
    assert time.monotonic() - back < CAP_S + 4 * SLACK_S
    assert await outages(longwire) == []
    assert [len(longwire.log_events(f"outage_{what}")) for what in ("begins", "ends")] == [1, 1]


async def test_g11_accounts_that_were_parked_just_before_it_was_recognised_are_pardoned(
    simulator: Simulator, longwire: Longwire
) -> None:
    """One by one they are cut and refused for good: four are parked, the fifth shows that it is not they.

    Alone: by its code, each process for itself, at the same fixed interval, for ever; with ReconnectCount set
    all give up for good.
    """
    everyone = fleet(simulator, "lark", 8, backoff_initial_s=0.05)
    longwire.configure(everyone)
    await longwire.start()
    await longwire.until_online()
    down = await simulator.fault(LarkDiscoveryCode(platform="lark", code=10014, msg="app secret invalid"))
    first, rest = list(everyone)[:4], list(everyone)[4:]
    for app in first:
        await simulator.drop("lark", app=app)
    for app in first:
        await longwire.until_state(app, "parked")
    await simulator.drop("lark", app=rest[0])

    async def pardoned() -> bool:
        found = await accounts(longwire)
        return bool(await outages(longwire)) and all(account["state"] != "parked" for account in found)

    await until(pardoned, what="nobody is parked any more")
    await simulator.clear_faults(down)
    await longwire.until_online()


async def test_g11_one_tenant_with_a_wrong_secret_is_no_outage_and_parks(
    simulator: Simulator, longwire: Longwire
) -> None:
    """Five accounts of one tenant are refused beside twelve that are well: each after one attempt.

    Alone: by its code, each process for itself, at the same fixed interval, for ever; with ReconnectCount set
    all give up for good.
    """
    everyone = fleet(simulator, "lark", 17)
    bad = list(everyone)[:5]
    for app in bad:
        everyone[app]["tenant"] = "careless"
        await simulator.register("lark", app=app, secret="another-secret")
    longwire.configure(everyone)
    await longwire.start()
    for app in bad:
        await longwire.until_state(app, "parked")
    await longwire.until_online(*(app for app in everyone if app not in bad))

    async def one_attempt_each() -> bool:
        states = (await simulator.state()).lark
        return all(states[app].discovery_calls == 1 for app in bad) and not await outages(longwire)

    await stays(one_attempt_each, what="parked after one attempt, and no outage", for_s=1.0)
    assert longwire.log_events("outage_begins") == []


async def test_g11_six_wrong_secrets_and_nothing_else_are_no_outage_either(
    simulator: Simulator, longwire: Longwire
) -> None:
    """Accounts that were never online with what they have: their configuration is wrong.

    Alone: by its code, each process for itself, at the same fixed interval, for ever; with ReconnectCount set
    all give up for good.
    """
    everyone = fleet(simulator, "dingtalk", 6)
    for app in everyone:
        await simulator.register("dingtalk", app=app, secret="another-secret")
    longwire.configure(everyone)
    await longwire.start()
    for app in everyone:
        await longwire.until_state(app, "parked")
    assert len(await calls(simulator, "dingtalk")) == 6


async def test_g11_apps_disabled_while_the_supervisor_was_away_park_beside_those_that_are_well(
    simulator: Simulator, longwire: Longwire
) -> None:
    """Ten tenants' accounts were online; six apps are disabled, then it is started again: no outage.

    Alone: by its code, each process for itself, at the same fixed interval, for ever; with ReconnectCount set
    all give up for good.
    """
    everyone = fleet(simulator, "lark", 10)
    for number, app in enumerate(everyone):
        everyone[app]["tenant"] = f"tenant-{number}"
    disabled, well = list(everyone)[::2] + list(everyone)[1:2], list(everyone)[3::2]
    longwire.configure(everyone)
    await longwire.start()
    await longwire.until_online()
    await longwire.stop()
    for app in disabled:
        await simulator.fault(
            LarkDiscoveryCode(platform="lark", app=app, code=99991662, msg="app is not in use")
        )
    before = len(await calls(simulator, "lark"))
    await longwire.start()
    for app in disabled:
        parked = await longwire.until_state(app, "parked")
        assert (parked["reason"], bool(parked["user_action"])) == ("app_unavailable", True)
    await longwire.until_online(*well)

    async def one_attempt_each() -> bool:
        return len(await calls(simulator, "lark")) - before == 10 and not await outages(longwire)

    await stays(one_attempt_each, what="one attempt each, and no outage", for_s=1.0)
    assert longwire.log_events("outage_begins") == []


async def test_g11_children_that_die_together_are_no_outage(simulator: Simulator, longwire: Longwire) -> None:
    """Six processes are killed: that is this machine's doing, and each is replaced by the law.

    Alone: by its code, each process for itself, at the same fixed interval, for ever; with ReconnectCount set
    all give up for good.
    """
    longwire.configure(fleet(simulator, "lark", 6))
    await longwire.start()
    await longwire.until_online()
    for account in await accounts(longwire):
        os.kill(account["pid"], signal.SIGKILL)

    async def all_replaced() -> bool:
        return all(a["restarts"] == 1 and a["state"] == "online" for a in await accounts(longwire))

    await until(all_replaced, what="all are replaced")
    assert longwire.log_events("outage_begins") == []


async def _blackout(
    simulator: Simulator, longwire: Longwire, *, count: int, for_s: float, cap_s: float
) -> None:
    rate_per_s, burst = 20.0, 5
    longwire.configure(
        fleet(simulator, "lark", count, backoff_max_s=cap_s),
        connect_rate_per_s=rate_per_s,
        connect_burst=burst,
    )
    await longwire.start()
    await longwire.until_online()
    down = await simulator.fault(LarkDiscoveryStatus(platform="lark", status=503))
    await simulator.drop("lark", how="abort")
    begun = time.time()

    async def is_over() -> bool:
        return time.time() - begun > for_s

    await until(is_over, what="the blackout", deadline_s=for_s + 10, every_s=0.5)
    in_it = [at for at in await calls(simulator, "lark") if at > begun + 2]
    assert len(in_it) <= 2 * for_s, "probes, not a storm"
    await simulator.clear_faults(down)
    back = time.time()
    await longwire.until_online(deadline_s=cap_s + 30)
    assert time.time() - back < cap_s + 4 * SLACK_S
    after = [at for at in await calls(simulator, "lark") if at > back]
    for at in after:
        assert sum(at <= other < at + 1 for other in after) <= rate_per_s + burst + 2 * rate_per_s * 0.2
    states = (await simulator.state()).lark
    assert all(state.connections_max_open == 1 for state in states.values())


async def test_g11_after_a_blackout_all_are_back_within_the_cap_at_the_starting_rate(
    simulator: Simulator, longwire: Longwire
) -> None:
    """After a blackout all are back within the cap at the starting rate.

    Alone: by its code, each process for itself, at the same fixed interval, for ever; with ReconnectCount set
    all give up for good.
    """
    await _blackout(simulator, longwire, count=24, for_s=4.0, cap_s=5.0)


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_g11_a_blackout_of_ten_minutes_with_a_hundred_accounts(
    simulator: Simulator, longwire: Longwire
) -> None:
    """With Lark's own cap of 60 s; `LONGWIRE_SOAK_S` shortens it.

    Alone: by its code, each process for itself, at the same fixed interval, for ever; with ReconnectCount set
    all give up for good.
    """
    for_s = float(os.environ.get("LONGWIRE_SOAK_S", "600"))
    await _blackout(simulator, longwire, count=100, for_s=min(for_s, 600.0), cap_s=60.0)
