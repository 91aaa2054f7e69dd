"""Scenarios C: what users of DingTalk connectors suffer, by their ids."""

from __future__ import annotations

from itertools import pairwise

from harness.longwire import Longwire, dingtalk
from harness.scenario import SLACK_S, stop_and_look
from harness.simulator import Simulator
from harness.waiting import stays, until
from longwire_connectors.simulator.counters import AppState
from longwire_connectors.simulator.fault_kinds import AcceptThenClose, DingTalkOpenStatus, DiscoveryHang
from longwire_connectors.simulator.injections import DingTalkEvent

APP = "dingscenario"


async def app_state(simulator: Simulator) -> AppState:
    return await simulator.app_state("dingtalk", APP)


async def test_c2_a_server_that_closes_at_once_is_not_stormed(
    simulator: Simulator, longwire: Longwire
) -> None:
    """A tenth of DingTalk's own times: 2 s and 30 s for 20 s and 300 s, six seconds for the first minute.

    Alone: 830 opens in 5 s on a busy machine, 2,194 on an idle one.
    """
    await simulator.fault(AcceptThenClose(platform="dingtalk"))
    longwire.configure({"bot": dingtalk(simulator.url, APP, backoff_initial_s=2.0, backoff_max_s=30.0)})
    await longwire.start()

    async def fourth() -> bool:
        return (await app_state(simulator)).connections_total >= 4

    await until(fourth, what="the fourth connection")
    times = (await app_state(simulator)).discovery_times
    assert sum(at - times[0] < 6 for at in times) <= 6
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(gap >= 2.0 * 2**n / 2 for n, gap in enumerate(gaps)), gaps
    assert (await longwire.account("bot"))["attempt"] >= 3


async def test_c4_a_stop_during_backoff_is_done_within_a_second(
    simulator: Simulator, longwire: Longwire
) -> None:
    """A stop long before the next attempt.

    Alone: SIGINT while online: alive after 20 s. While the opening hung: one request in 30 s, and 10 s after
    SIGINT still alive.
    """
    await simulator.fault(DingTalkOpenStatus(platform="dingtalk", status=503))
    longwire.configure({"bot": dingtalk(simulator.url, APP)})
    await longwire.start()
    account = await longwire.until_state("bot", "backoff")
    assert account["next_retry_at"] - account["since"] >= 10, "never under 10 s apart"
    assert await stop_and_look(simulator, longwire, platform="dingtalk", app=APP) < 1 + SLACK_S


async def test_c4_a_stop_while_the_opening_hangs_is_done_within_the_stop_timeout(
    simulator: Simulator, longwire: Longwire
) -> None:
    """A stop in the middle of an attempt.

    Alone: SIGINT while online: alive after 20 s. While the opening hung: one request in 30 s, and 10 s after
    SIGINT still alive.
    """
    await simulator.fault(DiscoveryHang(platform="dingtalk"))
    longwire.configure({"bot": dingtalk(simulator.url, APP)})
    await longwire.start()

    async def asked() -> bool:
        return (await app_state(simulator)).discovery_calls == 1

    await until(asked, what="connections/open hangs")
    assert await stop_and_look(simulator, longwire, platform="dingtalk", app=APP) < 4 + SLACK_S


async def test_c7_a_wrong_secret_parks_the_account(simulator: Simulator, longwire: Longwire) -> None:
    """HTTP 401 is final: one attempt, and the operator is told what to do.

    Alone: 5 attempts in 45 s with the wrong secret, for ever, and never an error to the program.
    """
    await simulator.register("dingtalk", app=APP, secret="another-secret")
    longwire.configure({"bot": dingtalk(simulator.url, APP, backoff_initial_s=0.05)})
    await longwire.start()
    account = await longwire.until_state("bot", "parked")
    assert account["user_action"]
    assert account["user_action_zh"]

    async def one_attempt() -> bool:
        return (await app_state(simulator)).discovery_calls == 1

    await stays(one_attempt, what="one attempt", for_s=1.5)


async def test_c7_a_system_error_with_status_400_is_retried(simulator: Simulator, longwire: Longwire) -> None:
    """DingTalk's own trouble looks like a bad request, and is not taken for one.

    Alone: 5 attempts in 45 s with the wrong secret, for ever, and never an error to the program.
    """
    await simulator.fault(DingTalkOpenStatus(platform="dingtalk", status=400))
    longwire.configure({"bot": dingtalk(simulator.url, APP, backoff_initial_s=0.05)})
    await longwire.start()

    async def retried() -> bool:
        return (await app_state(simulator)).discovery_calls >= 3

    await until(retried, what="retried")
    await simulator.clear_faults()
    await longwire.until_online()


async def test_c9_a_stop_works_though_the_sdk_swallows_cancellation(
    simulator: Simulator, longwire: Longwire
) -> None:
    """With 0.24.3, which catches what should end it.

    Alone: cancelled once, it was not done after 30 s, and 10 s later it had a new connection.
    """
    longwire.configure({"bot": dingtalk(simulator.url, APP)})
    await longwire.start()
    await longwire.until_online()
    subscription = longwire.client.subscribe(start="new", types=["message.created"])
    await subscription.open()
    await simulator.inject_dingtalk(DingTalkEvent(app=APP, text="before"))
    assert (await anext(subscription)).text == "before"
    assert await stop_and_look(simulator, longwire, platform="dingtalk", app=APP) < 4 + SLACK_S
    (connection,) = (await app_state(simulator)).connections
    assert (connection.closed_by, connection.close_code) == ("client", 1000)
