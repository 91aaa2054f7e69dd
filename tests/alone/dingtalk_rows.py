"""Rows C and G of dingtalk-stream."""

from __future__ import annotations

import asyncio
import signal
import time
from itertools import pairwise

from alone.stage import stage
from harness.processes import is_alive
from longwire_connectors.simulator.fault_kinds import (
    AcceptThenClose,
    DingTalkOpenStatus,
    DiscoveryHang,
    Frozen,
)
from longwire_connectors.simulator.injections import DingTalkEvent


async def c1() -> str:
    """Refusal."""
    async with stage("dingtalk") as it:
        await it.simulator.fault(DingTalkOpenStatus(platform="dingtalk", status=503))
        bot = await it.bot()
        await asyncio.sleep(62)
        times = (await it.state()).discovery_times
        gaps = [round(b - a, 1) for a, b in pairwise(times)]
        return f"{len(times)} attempts in 60 s, gaps {gaps}, {len(bot.text().splitlines())} lines of log"


async def c2() -> str:
    """Closed at once, each time."""
    async with stage("dingtalk") as it:
        await it.simulator.fault(AcceptThenClose(platform="dingtalk"))
        await it.bot()
        await it.seconds_until_open(total=1, deadline_s=60)
        await asyncio.sleep(5)
        return f"{(await it.state()).discovery_calls} opens in 5 s"


async def c3() -> str:
    """SYSTEM disconnect; TCP stays 10 s."""
    async with stage("dingtalk") as it:
        await it.bot()
        await it.online()
        begun = time.time()
        await it.simulator.inject_dingtalk(DingTalkEvent(app=it.app, kind="disconnect"))
        await it.seconds_until_open(total=2, deadline_s=60)
        old, new = (await it.state()).connections
        closed = None if old.closed_at is None else round(old.closed_at - begun, 2)
        most = (await it.state()).connections_max_open
        return f"old closed after {closed} s, new after {new.opened_at - begun:.2f} s, at once open: {most}"


async def c4() -> str:
    """SIGINT and SIGTERM after it was online, in its wait, and while the opening hangs."""
    async with stage("dingtalk") as it:
        bot = await it.bot()
        await it.online()
        bot.send(signal.SIGINT)
        await asyncio.sleep(20)
        return f"SIGINT while online: alive after 20 s: {is_alive(bot.pid)}; {await _hanging()}"


async def _hanging() -> str:
    async with stage("dingtalk") as it:
        await it.simulator.fault(DiscoveryHang(platform="dingtalk"))
        bot = await it.bot()
        await asyncio.sleep(30)
        calls = (await it.state()).discovery_calls
        bot.send(signal.SIGINT)
        await asyncio.sleep(10)
        return f"opening hangs: {calls} request in 30 s, SIGINT: alive after 10 s: {is_alive(bot.pid)}"


async def c5() -> str:
    """Dropped by a reset and by a close frame after a while."""
    async with stage("dingtalk") as it:
        await it.bot()
        await it.online()
        await it.simulator.drop("dingtalk", how="abort")
        reset = await it.seconds_until_open(total=2, deadline_s=60)
        await it.simulator.drop("dingtalk", how="close")
        closed = await it.seconds_until_open(total=3, deadline_s=60)
        return (
            f"back {reset and round(reset, 1)} s after a reset, {closed and round(closed, 2)} s after a close"
        )


async def c6() -> str:
    """Ten restarts of the program within a minute."""
    async with stage("dingtalk") as it:
        begun = time.monotonic()
        for n in range(10):
            bot = await it.bot()
            await it.seconds_until_open(total=n + 1, deadline_s=30)
            await bot.kill()
        state = await it.state()
        codes = {connection.close_code for connection in state.connections}
        return f"{state.connections_total} connects in {time.monotonic() - begun:.0f} s, close codes {codes}"


async def c7() -> str:
    """A wrong secret."""
    async with stage("dingtalk") as it:
        await it.simulator.register("dingtalk", app=it.app, secret="another")
        bot = await it.bot()
        await asyncio.sleep(45)
        return f"{(await it.state()).discovery_calls} attempts in 45 s, alive: {is_alive(bot.pid)}"


async def c8() -> str:
    """Frames that are none."""
    robot = "/v1.0/im/bot/messages/get"
    kinds = {
        "no JSON": DingTalkEvent(app="x", kind="raw", raw_text="{not json"),
        "an array": DingTalkEvent(app="x", kind="raw", raw_text="[1, 2]"),
        "unknown topic": DingTalkEvent(app="x", kind="card", topic="/v9/unknown"),
        "no msgId": DingTalkEvent(app="x", omitted_fields=["msgId"]),
        "no messageId": DingTalkEvent(
            app="x",
            kind="raw",
            raw={"specVersion": "1.0", "type": "CALLBACK", "headers": {"topic": robot}, "data": "{}"},
        ),
    }
    return "; ".join([await _frame(name, event) for name, event in kinds.items()])


async def _frame(name: str, event: DingTalkEvent) -> str:
    async with stage("dingtalk") as it:
        event.app = it.app
        await it.bot()
        await it.online()
        await it.simulator.inject_dingtalk(event)
        await asyncio.sleep(6)
        state = await it.state()
        return f"{name}: {state.connections_total} connections in 6 s, acks {state.ack_codes}"


async def b2() -> str:
    """A frozen connection."""
    async with stage("dingtalk") as it:
        await it.bot()
        await it.online()
        await it.simulator.fault(Frozen(platform="dingtalk"))
        again = await it.seconds_until_open(total=2, deadline_s=120)
        return f"reconnected after {again and round(again, 1)} s"


async def g6() -> str:
    """What its log says at its default level."""
    async with stage("dingtalk") as it:
        bot = await it.bot()
        await it.online()
        await it.simulator.inject_dingtalk(DingTalkEvent(app=it.app))
        await asyncio.sleep(2)
        text = bot.text()
        return f"log has ticket: {'ticket' in text}, sessionWebhook: {'sendBySession' in text}"


ROWS = {
    "C1": c1,
    "C2": c2,
    "C3": c3,
    "C4": c4,
    "C5": c5,
    "C6": c6,
    "C7": c7,
    "C8": c8,
    "B2-ding": b2,
    "G6-ding": g6,
}
