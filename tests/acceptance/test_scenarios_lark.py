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
    """The server sees a close frame with 1000 in time; nothing of the account is left or comes back.

    Alone: there is no stop. SIGTERM ended the process after 47 ms without a close frame: the server saw 1006.
    """
    longwire.configure({"bot": lark(simulator.url, APP)})
    await longwire.start()
    await longwire.until_online()
    assert await stop_and_look(simulator, longwire, platform="lark", app=APP) < 2 + SLACK_S
    (connection,) = (await app_state(simulator)).connections
    assert (connection.closed_by, connection.close_code) == ("client", 1000)


async def test_a1_a_stop_while_connecting_leaves_nothing(simulator: Simulator, longwire: Longwire) -> None:
    """The same with a socket that is open and not proven yet.

    Alone: there is no stop. SIGTERM ended the process after 47 ms without a close frame: the server saw 1006.
    """
    await simulator.fault(LarkNoPong(platform="lark"))
    longwire.configure({"bot": lark(simulator.url, APP)})
    await longwire.start()

    async def opened() -> bool:
        return (await app_state(simulator)).connections_open == 1

    await until(opened, what="the socket is open and not proven")
    assert (await longwire.account("bot"))["state"] == "connecting"
    assert await stop_and_look(simulator, longwire, platform="lark", app=APP) < 2 + SLACK_S
    (connection,) = (await app_state(simulator)).connections
    assert (connection.closed_by, connection.close_code) == ("client", 1000)


async def test_a1_a_stop_while_backing_off_leaves_nothing(simulator: Simulator, longwire: Longwire) -> None:
    """The same between two attempts.

    Alone: there is no stop. SIGTERM ended the process after 47 ms without a close frame: the server saw 1006.
    """
    await simulator.fault(LarkDiscoveryStatus(platform="lark", status=503))
    longwire.configure({"bot": lark(simulator.url, APP, backoff_initial_s=1.0)})
    await longwire.start()
    await longwire.until_state("bot", "backoff")
    assert await stop_and_look(simulator, longwire, platform="lark", app=APP) < 4 + SLACK_S


async def test_a1_a_stop_while_discovery_hangs_leaves_nothing(
    simulator: Simulator, longwire: Longwire
) -> None:
    """The same in the middle of an attempt.

    Alone: there is no stop. SIGTERM ended the process after 47 ms without a close frame: the server saw 1006.
    """
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
    """It tries more often than the platform allows, and is online within one backoff period.

    Alone: one retry, then the task died of it: no call in 30 s after the platform had recovered, while the
    process lived on.
    """
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
    """Noticed within the link timeout, with heartbeats all the while, and over when the platform answers.

    Alone: the event loop stood still in the request: one call in 60 s, no second one, no ping, the process
    alive.
    """
    hang = await simulator.fault(DiscoveryHang(platform="lark"))
    limits = {"link_timeout_s": 3.0, "heartbeat_interval_s": 0.2, "heartbeat_timeout_s": 2.0}
    longwire.configure({"bot": lark(simulator.url, APP, **limits)})
    await longwire.start()

    async def asked_again() -> bool:
        return (await app_state(simulator)).discovery_calls >= 2

    await until(asked_again, what="a second attempt", deadline_s=15)
    first, second = (await app_state(simulator)).discovery_times[:2]
    assert 3.0 <= second - first < 3.0 + 2 * SLACK_S
    account = await longwire.account("bot")
    assert account["reason"] == "discovery_timeout"
    assert account["restarts"] == 0, (
        "the heartbeat went on, or its shorter timeout would have ended the child"
    )
    await simulator.clear_faults(hang)
    await longwire.until_online()
    assert (await longwire.account("bot"))["pid"] == account["pid"]


async def test_a6_no_loop_is_misused_through_a_whole_life(simulator: Simulator, longwire: Longwire) -> None:
    """Events, drops, hanging requests, stops and starts leave no loose end in the log.

    Alone: «Task exception was never retrieved» as soon as it had given up reconnecting.
    """
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
    """Three ping intervals without a Lark pong, though WebSocket pongs come, and it reconnects.

    Alone: 39 pings unanswered in 40 s, the same connection, no reaction.
    """
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
    """An account's stop and the supervisor's, both five minutes before the next attempt.

    Alone: SIGTERM ended the process after 30 ms; inside a host there is no way.
    """
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
    """One attempt, parked, and the operator is told what to do.

    Alone: at the start one attempt and exit code 1; while reconnecting one attempt, then silence: none in 40
    s after the secret was right again.
    """
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
    """What an error says is decided by its code and place, never by words.

    Alone: at the start one attempt and exit code 1; while reconnecting one attempt, then silence: none in 40
    s after the secret was right again.
    """
    await simulator.fault(fault)
    longwire.configure({"bot": lark(simulator.url, APP, backoff_initial_s=0.05)})
    await longwire.start()

    async def retried() -> bool:
        return (await app_state(simulator)).discovery_calls >= 3

    await until(retried, what="retried")
    assert (await longwire.account("bot"))["user_action"] is None
    await simulator.clear_faults()
    await longwire.until_online()
