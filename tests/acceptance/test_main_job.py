"""The main job, end to end: real SDKs, real processes, a simulator for the platforms."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections import defaultdict
from typing import Any

from harness.longwire import Longwire, dingtalk, lark
from harness.processes import is_alive
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.injections import DingTalkEvent, LarkEvent

LARK_A, LARK_B, DING = "cli_00000000000000aa", "cli_00000000000000bb", "dingmain"


def three_accounts(url: str) -> dict[str, dict[str, Any]]:
    return {"lark-a": lark(url, LARK_A), "lark-b": lark(url, LARK_B), "ding": dingtalk(url, DING)}


async def test_a_thousand_events_into_each_of_three_accounts_arrive_once_and_in_order(
    simulator: Simulator, longwire: Longwire
) -> None:
    longwire.configure(three_accounts(simulator.url))
    await longwire.start()
    await longwire.until_online()
    subscription = longwire.client.subscribe("reader", start="all", types=["message.created"], credit=500)
    await subscription.open()
    chats = 4
    for chat in range(chats):
        count = 1000 // chats
        for app in (LARK_A, LARK_B):
            await simulator.inject_lark(LarkEvent(app=app, chat=f"oc_{chat}", text="{n}", count=count))
        await simulator.inject_dingtalk(
            DingTalkEvent(app=DING, conversation=f"cid{chat}==", text="{n}", count=count)
        )
    texts: dict[tuple[str, str], list[int]] = defaultdict(list)
    seqs: list[int] = []
    async with asyncio.timeout(90):
        for _ in range(3000):
            event = await anext(subscription)
            assert event.chat is not None
            texts[event.account, event.chat.id].append(int(event.text or "-1"))
            seqs.append(event.seq or 0)
            await event.ack()
    assert len(texts) == 3 * chats
    assert all(numbers == list(range(250)) for numbers in texts.values())
    assert seqs == sorted(set(seqs))
    for platform, app in (("lark", LARK_A), ("lark", LARK_B), ("dingtalk", DING)):

        async def acked(platform: Any = platform, app: str = app) -> bool:
            return (await simulator.app_state(platform, app)).acked == 1000

        await until(acked, what=f"{app}: all acknowledged")
        state = await simulator.app_state(platform, app)
        assert (state.redeliveries, state.connections_total) == (0, 1)


async def test_no_platform_ack_leaves_before_the_commit(simulator: Simulator, longwire: Longwire) -> None:
    longwire.configure(three_accounts(simulator.url))
    await longwire.start()
    await longwire.until_online()
    subscription = longwire.client.subscribe(start="new", types=["message.created"])
    await subscription.open()
    holder = sqlite3.connect(longwire.folder / "var" / "journal.sqlite3", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")  # nobody else can commit now
    await simulator.inject_lark(LarkEvent(app=LARK_A, text="held"))
    await simulator.inject_dingtalk(DingTalkEvent(app=DING, text="held"))

    async def held() -> bool:
        accounts = (await longwire.status())["accounts"]
        return sum(account["unstored"] for account in accounts) == 2

    await until(held, what="both events are in the supervisor's hands")

    async def troubled() -> bool:
        return bool((await longwire.status())["supervisor"]["state"] == "degraded")

    await until(troubled, what="the supervisor says that it cannot commit")
    lark_state = await simulator.app_state("lark", LARK_A)
    ding_state = await simulator.app_state("dingtalk", DING)
    assert (lark_state.events_sent, lark_state.acks) == (1, 0)
    assert (ding_state.events_sent, ding_state.acks) == (1, 0)
    holder.execute("COMMIT")
    holder.close()
    async with asyncio.timeout(30):
        assert {(await anext(subscription)).account for _ in range(2)} == {"lark-a", "ding"}


async def test_a_killed_child_is_replaced_and_misses_nothing(
    simulator: Simulator, longwire: Longwire
) -> None:
    longwire.configure({"bot": lark(simulator.url, LARK_A)})
    await longwire.start()
    await longwire.until_online()
    before = await longwire.account("bot")
    os.kill(before["pid"], signal.SIGKILL)

    async def replaced() -> bool:
        account = await longwire.account("bot")
        return account["state"] == "online" and account["pid"] != before["pid"]

    await until(replaced, what="a new child is online")
    after = await longwire.account("bot")
    assert after["incarnation"] > before["incarnation"]
    assert after["restarts"] == 1
    subscription = longwire.client.subscribe(start="new", types=["message.created"])
    await subscription.open()
    await simulator.inject_lark(LarkEvent(app=LARK_A, text="after"))
    async with asyncio.timeout(20):
        assert (await anext(subscription)).text == "after"


async def test_a_frozen_child_is_killed_after_the_heartbeat_timeout_and_replaced(
    simulator: Simulator, longwire: Longwire
) -> None:
    longwire.configure(
        {"bot": lark(simulator.url, LARK_A)},
        defaults={"heartbeat_interval_s": 0.2, "heartbeat_timeout_s": 1.5},
    )
    await longwire.start()
    await longwire.until_online()
    before = await longwire.account("bot")
    os.kill(before["pid"], signal.SIGSTOP)
    await longwire.until_state("bot", "degraded")
    await longwire.until_state("bot", "online")
    after = await longwire.account("bot")
    assert after["pid"] != before["pid"]
    assert not is_alive(before["pid"])
    assert [line["reason"] for line in longwire.log_events("child_hung")] == ["heartbeat_timeout"]


async def test_a_stopped_supervisor_kills_no_child_when_it_comes_back(
    simulator: Simulator, longwire: Longwire
) -> None:
    defaults = {"heartbeat_interval_s": 0.2, "heartbeat_timeout_s": 1.0}
    longwire.configure(three_accounts(simulator.url), defaults=defaults)
    await longwire.start()
    await longwire.until_online()
    before = {a["account"]: a["pid"] for a in (await longwire.status())["accounts"]}
    longwire.program.send(signal.SIGSTOP)
    await asyncio.sleep(6)  # six heartbeat timeouts: the time itself is what is tested
    longwire.program.send(signal.SIGCONT)
    subscription = longwire.client.subscribe(start="new", types=["message.created"])
    await subscription.open()
    for app in (LARK_A, LARK_B):
        await simulator.inject_lark(LarkEvent(app=app))
    async with asyncio.timeout(20):
        assert {(await anext(subscription)).account for _ in range(2)} == {"lark-a", "lark-b"}
    after = {a["account"]: a["pid"] for a in (await longwire.status())["accounts"]}
    assert after == before
    assert not longwire.log_events("child_hung")


async def test_nothing_outlives_a_killed_supervisor(simulator: Simulator, longwire: Longwire) -> None:
    longwire.configure(three_accounts(simulator.url))
    await longwire.start()
    await longwire.until_online()
    pids = [account["pid"] for account in (await longwire.status())["accounts"]]
    os.kill(pids[0], signal.SIGSTOP)
    await longwire.kill()

    async def all_gone() -> bool:
        return not any(is_alive(pid) for pid in pids)

    await until(all_gone, what="no child is left", deadline_s=5)

    async def disconnected() -> bool:
        state = await simulator.state()
        apps = [*state.lark.values(), *state.dingtalk.values()]
        return not any(app.connections_open for app in apps)

    await until(disconnected, what="no connection is left", deadline_s=5)


async def test_an_event_acknowledged_before_the_supervisor_died_is_delivered_by_the_next(
    simulator: Simulator, longwire: Longwire
) -> None:
    longwire.configure({"bot": lark(simulator.url, LARK_A)})
    await longwire.start()
    await longwire.until_online()
    first = longwire.client.subscribe("reader", types=["message.created"])
    await first.open()
    await simulator.inject_lark(LarkEvent(app=LARK_A, count=5, text="{n}"))

    async def acked() -> bool:
        return (await simulator.app_state("lark", LARK_A)).acked == 5

    await until(acked, what="all acknowledged")
    await longwire.kill()
    await longwire.start()
    again = longwire.client.subscribe("reader", types=["message.created"])
    async with asyncio.timeout(20):
        assert [(await anext(again)).text for _ in range(5)] == ["0", "1", "2", "3", "4"]
