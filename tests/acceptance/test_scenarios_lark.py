"""Scenarios A and B: what users of Lark connectors suffer, by their ids."""

from __future__ import annotations

import time
from typing import Any

import pytest

from harness.longwire import Longwire, lark
from harness.scenario import SLACK_S, stop_and_look
from harness.simulator import Simulator
from harness.waiting import stays, until
from longwire_connectors.simulator.counters import AppState
from longwire_connectors.simulator.fault_kinds import (
    DiscoveryHang,
    LarkClientConfig,
    LarkDiscoveryCode,
    LarkDiscoveryStatus,
    LarkNoPong,
    LarkPongConfig,
)
from longwire_connectors.simulator.injections import LarkEvent

APP = "cli_00000000000000aa"


async def app_state(simulator: Simulator, app: str = APP) -> AppState:
    return await simulator.app_state("lark", app)


async def test_a1_a_stop_while_online_closes_the_websocket_properly(
    simulator: Simulator, longwire: Longwire
) -> None:
    longwire.configure({"bot": lark(simulator.url, APP)})
    await longwire.start()
    await longwire.until_online()
    assert await stop_and_look(simulator, longwire, platform="lark", app=APP) < 2 + SLACK_S
    (connection,) = (await app_state(simulator)).connections
    assert (connection.closed_by, connection.close_code) == ("client", 1000)


async def test_a1_a_stop_while_connecting_leaves_nothing(simulator: Simulator, longwire: Longwire) -> None:
    await simulator.fault(LarkNoPong(platform="lark"))
    longwire.configure({"bot": lark(simulator.url, APP)})
    await longwire.start()

    async def opened() -> bool:
        return (await app_state(simulator)).connections_open == 1

    await until(opened, what="the socket is open and not proven")
    assert (await longwire.account("bot"))["state"] == "connecting"
    assert await stop_and_look(simulator, longwire, platform="lark", app=APP) < 4 + SLACK_S


async def test_a1_a_stop_while_backing_off_leaves_nothing(simulator: Simulator, longwire: Longwire) -> None:
    await simulator.fault(LarkDiscoveryStatus(platform="lark", status=503))
    longwire.configure({"bot": lark(simulator.url, APP, backoff_initial_s=1.0)})
    await longwire.start()
    await longwire.until_state("bot", "backoff")
    assert await stop_and_look(simulator, longwire, platform="lark", app=APP) < 4 + SLACK_S


async def test_a1_a_stop_while_discovery_hangs_leaves_nothing(
    simulator: Simulator, longwire: Longwire
) -> None:
    await simulator.fault(DiscoveryHang(platform="lark"))
    longwire.configure({"bot": lark(simulator.url, APP)})
    await longwire.start()

    async def asked() -> bool:
        return (await app_state(simulator)).discovery_calls == 1

    await until(asked, what="discovery hangs")
    assert await stop_and_look(simulator, longwire, platform="lark", app=APP) < 4 + SLACK_S


async def test_a2_a_platform_that_pushes_a_retry_limit_does_not_silence_the_account(
    simulator: Simulator, longwire: Longwire
) -> None:
    await simulator.fault(LarkClientConfig(platform="lark", values={"ReconnectCount": 1, "PingInterval": 1}))
    await simulator.fault(LarkPongConfig(platform="lark", values={"ReconnectCount": 1, "PingInterval": 1}))
    cap_s = 2.0
    longwire.configure({"bot": lark(simulator.url, APP, backoff_initial_s=0.5, backoff_max_s=cap_s)})
    await longwire.start()
    await longwire.until_online()
    down = await simulator.fault(LarkDiscoveryStatus(platform="lark", status=500))
    await simulator.drop("lark", app=APP, how="abort")

    async def failed_often() -> bool:
        return (await longwire.account("bot"))["attempt"] >= 4

    await until(failed_often, what="more attempts than the platform allows")
    await simulator.clear_faults(down)
    recovered = time.monotonic()
    await longwire.until_online()
    assert time.monotonic() - recovered < cap_s + 2 * SLACK_S


async def test_a3_a_discovery_that_never_answers_is_noticed_and_retried(
    simulator: Simulator, longwire: Longwire
) -> None:
    hang = await simulator.fault(DiscoveryHang(platform="lark"))
    longwire.configure({"bot": lark(simulator.url, APP, link_timeout_s=2.0)})
    await longwire.start()

    async def asked_again() -> bool:
        return (await app_state(simulator)).discovery_calls >= 2

    await until(asked_again, what="a second attempt", deadline_s=15)
    account = await longwire.account("bot")
    assert account["reason"] == "discovery_timeout"
    assert account["restarts"] == 0, "the heartbeat went on, so the child could stay"
    await simulator.clear_faults(hang)
    await longwire.until_online()


async def test_a6_no_loop_is_misused_through_a_whole_life(simulator: Simulator, longwire: Longwire) -> None:
    longwire.configure({"bot": lark(simulator.url, APP, link_timeout_s=2.0)})
    await longwire.start()
    await longwire.until_online()
    subscription = longwire.client.subscribe(start="new", types=["message.created"])
    await subscription.open()
    for n in range(2):
        await simulator.inject_lark(LarkEvent(app=APP, count=50, parts=2))
        for _ in range(50):
            await (await anext(subscription)).ack()
        await simulator.drop("lark", app=APP, how="close" if n else "abort")
        await longwire.until_state("bot", "online")
        hang = await simulator.fault(DiscoveryHang(platform="lark"))
        await simulator.drop("lark", app=APP)

        async def timed_out() -> bool:
            return (await longwire.account("bot"))["reason"] == "discovery_timeout"

        await until(timed_out, what="a hanging discovery is given up")
        await longwire.client.call("account.stop", account="bot")
        await longwire.until_state("bot", "stopped")
        await simulator.clear_faults(hang)
        await longwire.client.call("account.start", account="bot")
        await longwire.until_online()
    await longwire.stop()
    assert longwire.log_events("loose_end_of_the_loop") == []
    longwire.check_log()


async def test_b1_a_server_without_lark_pongs_is_not_called_online(
    simulator: Simulator, longwire: Longwire
) -> None:
    interval_s = 1
    for fault in (LarkClientConfig, LarkPongConfig):
        await simulator.fault(fault(platform="lark", values={"PingInterval": interval_s}))
    longwire.configure({"bot": lark(simulator.url, APP)})
    await longwire.start()
    await longwire.until_online()
    silent = await simulator.fault(LarkNoPong(platform="lark"))
    begun = time.monotonic()
    account = await longwire.until_state("bot", "backoff", "connecting", "starting")
    assert time.monotonic() - begun < 3 * interval_s + 2 * SLACK_S
    assert account["reason"] == "platform_silent"
    await simulator.clear_faults(silent)
    await longwire.until_online()
    assert (await app_state(simulator)).connections_max_open == 1


async def test_b5_a_stop_during_a_long_backoff_is_done_within_a_second(
    simulator: Simulator, longwire: Longwire
) -> None:
    await simulator.fault(LarkDiscoveryStatus(platform="lark", status=503))
    longwire.configure({"bot": lark(simulator.url, APP, backoff_initial_s=300.0, backoff_max_s=300.0)})
    await longwire.start()
    account = await longwire.until_state("bot", "backoff")
    assert account["next_retry_at"] - time.time() > 100
    begun = time.monotonic()
    await longwire.client.call("account.stop", account="bot")
    await longwire.until_state("bot", "stopped")
    assert time.monotonic() - begun < 1 + SLACK_S
    await longwire.client.call("account.start", account="bot")
    await longwire.until_state("bot", "backoff")
    code, took = await longwire.stop()
    assert (code, took < 1 + SLACK_S) == (0, True)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (None, "bad_credentials"),
        (LarkDiscoveryCode(platform="lark", code=1000040346, msg="app_id is invalid"), None),
        (LarkDiscoveryCode(platform="lark", code=1000040351, msg="Incorrect domain name"), None),
        (LarkDiscoveryCode(platform="lark", code=10014, msg="app disabled"), None),
        (LarkDiscoveryCode(platform="lark", code=99991662, msg="app is not in use"), "app_unavailable"),
    ],
    ids=["wrong secret", "unknown app", "wrong domain", "legacy code", "app disabled"],
)
async def test_b7_a_clear_refusal_parks_after_one_attempt(
    simulator: Simulator, longwire: Longwire, fault: Any, reason: str | None
) -> None:
    if fault is None:
        await simulator.register("lark", app=APP, secret="another-secret")
    else:
        await simulator.fault(fault)
    longwire.configure({"bot": lark(simulator.url, APP, backoff_initial_s=0.05)})
    await longwire.start()
    account = await longwire.until_state("bot", "parked")
    assert account["user_action"]
    assert account["user_action_zh"]
    assert account["error_code"]
    assert reason is None or account["reason"] == reason

    async def one_attempt() -> bool:
        parked = (await longwire.account("bot"))["state"] == "parked"
        return parked and (await app_state(simulator)).discovery_calls == 1

    await stays(one_attempt, what="parked after one attempt", for_s=1.5)
    await simulator.clear_faults()
    if fault is not None:
        await longwire.client.call("account.restart", account="bot")
        await longwire.until_online()


@pytest.mark.parametrize(
    "fault",
    [
        LarkDiscoveryStatus(platform="lark", status=500, msg="the app_id is invalid just now"),
        LarkDiscoveryCode(platform="lark", code=1, msg="system busy: app_id is invalid, app_secret wrong"),
        LarkDiscoveryCode(platform="lark", code=1000040343, msg="internal error: app disabled"),
    ],
    ids=["http 500", "code 1", "code 1000040343"],
)
async def test_b7_a_transient_error_that_talks_of_the_app_id_is_retried(
    simulator: Simulator, longwire: Longwire, fault: Any
) -> None:
    await simulator.fault(fault)
    longwire.configure({"bot": lark(simulator.url, APP, backoff_initial_s=0.05)})
    await longwire.start()

    async def retried() -> bool:
        return (await app_state(simulator)).discovery_calls >= 3

    await until(retried, what="retried")
    assert (await longwire.account("bot"))["user_action"] is None
    await simulator.clear_faults()
    await longwire.until_online()
