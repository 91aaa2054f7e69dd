"""Rows A, B, E and G of lark-oapi."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from itertools import pairwise

from alone.stage import HERE, Stage, stage
from harness.processes import Program, is_alive
from longwire_connectors.simulator.fault_kinds import (
    AcceptThenClose,
    DiscoveryHang,
    Frozen,
    LarkDiscoveryCode,
    LarkDiscoveryStatus,
    LarkNoPong,
)
from longwire_connectors.simulator.injections import LarkEvent


async def a1() -> str:
    """SIGTERM while online."""
    async with stage("lark") as it:
        bot = await it.bot()
        await it.online()
        code, took = await bot.stop(signal.SIGTERM)
        await asyncio.sleep(1)
        (connection,) = (await it.state()).connections
        return f"SIGTERM: exit {code} after {took * 1000:.0f} ms, close code {connection.close_code}"


async def a2() -> str:
    """ReconnectCount=1, discovery refuses, recovers."""
    async with stage("lark") as it:
        await it.quick(ReconnectCount=1)
        bot = await it.bot()
        await it.online()
        down = await it.simulator.fault(LarkDiscoveryStatus(platform="lark", status=500))
        await it.simulator.drop("lark", how="abort")
        await asyncio.sleep(12)
        calls = (await it.state()).discovery_calls
        await it.simulator.clear_faults(down)
        await asyncio.sleep(30)
        more = (await it.state()).discovery_calls - calls
        return f"{calls - 1} retries, then {more} calls in 30 s after recovery, alive: {is_alive(bot.pid)}"


async def a3() -> str:
    """Discovery never answers."""
    async with stage("lark") as it:
        bot = await it.bot()
        await it.simulator.fault(DiscoveryHang(platform="lark"))
        await asyncio.sleep(60)
        calls = (await it.state()).discovery_calls
        return f"{calls} request(s) in 60 s, alive: {is_alive(bot.pid)}"


async def a4() -> str:
    """Eight bots, all dropped at once."""
    async with stage("lark") as it:
        apps = [f"cli_{n:016x}" for n in range(8)]
        for app in apps:
            await it.bot(app=app)
        for app in apps:
            await it.online(app=app)
        begun = time.time()
        await it.simulator.drop("lark", how="abort")
        await asyncio.sleep(2)
        for app in apps:
            await it.online(app=app)
        waits = [(await it.state(app)).connections[-1].opened_at - begun for app in apps]
        return "8 back after " + ", ".join(f"{wait:.1f}" for wait in sorted(waits)) + " s"


async def a5() -> str:
    """Several bots in one program, and how one of them is stopped again."""
    async with stage("lark") as it:
        bot = await Program.start(
            [sys.executable, str(HERE / "lark_threads.py"), it.simulator.url],
            output=it.folder / "threads.log",
        )
        it.bots.append(bot)
        await asyncio.sleep(25)
        state = await it.simulator.state()
        online = sum(app.connections_open for app in state.lark.values())
        failed = [line[:90] for line in bot.text().splitlines() if line.startswith("failed")]
        return f"{online} of 3 online; {failed}; none can be stopped but with the program"


async def a7() -> str:
    """Impossible ClientConfig values."""
    values: dict[str, object] = {"zero": 0, "negative": -1, "huge": 10**9, "text": "soon"}
    seen = [await _config(name, PingInterval=value) for name, value in values.items()]
    return "; ".join([*seen, await _config("missing", PingInterval=None)])


async def _config(name: str, **more: object) -> str:
    async with stage("lark") as it:
        await it.quick(**more)
        await it.bot()
        await it.online()
        await asyncio.sleep(5)
        pings = (await it.state()).pings
        await it.simulator.drop("lark", how="abort")
        back = await it.seconds_until_open(total=2, deadline_s=25)
        return f"{name}: {pings} pings in 5 s, reconnected: {back and round(back, 1)}"


async def a8() -> str:
    """Parts."""
    kinds = {
        "1 part": LarkEvent(app="x"),
        "2 parts": LarkEvent(app="x", parts=2),
        "20 parts in reverse": LarkEvent(app="x", parts=20, part_order=list(range(19, -1, -1))),
        "a part missing": LarkEvent(app="x", parts=3, missing_part=1),
        "seq >= sum": LarkEvent(app="x", parts=2, part_order=[0, 5, 1]),
    }
    seen = [await _parts(name, event, again=False) for name, event in kinds.items()]
    seen.append(await _parts("20 parts, redelivered after 1 s", LarkEvent(app="x", parts=20), again=True))
    return "; ".join(seen)


async def _parts(name: str, event: LarkEvent, *, again: bool) -> str:
    async with stage("lark") as it:
        event.app = it.app
        event.is_redelivered = False
        await it.bot()
        await it.online()
        (ids,) = await it.simulator.inject_lark(event)
        await asyncio.sleep(1)
        if again:
            await it.simulator.redeliver("lark", app=it.app, identity=ids.message_id)
        await asyncio.sleep(3)
        state = await it.state()
        links = state.connections_total
        return f"{name}: handled {len(it.handled())}x, acks {state.ack_codes}, links {links}"


async def a9() -> str:
    """One event of 4 MiB."""
    async with stage("lark", time_scale=15) as it:
        await it.quick()
        await it.bot()
        await it.online()
        await it.simulator.inject_lark(LarkEvent(app=it.app, text="x" * 4 * 2**20))
        await asyncio.sleep(40)
        state = await it.state()
        codes = [connection.close_code for connection in state.connections]
        return f"40 s: handled {len(it.handled())}, sent {state.events_sent}x, close codes {codes}"


async def b1() -> str:
    """No Lark pongs."""
    async with stage("lark") as it:
        await it.quick()
        await it.bot()
        await it.online()
        await asyncio.sleep(1)
        await it.simulator.fault(LarkNoPong(platform="lark"))
        await asyncio.sleep(40)
        state = await it.state()
        return f"{state.pings - state.pongs} pings unanswered in 40 s, connections {state.connections_total}"


async def b2() -> str:
    """A frozen connection; then a frozen server."""
    async with stage("lark") as it:
        await it.quick()
        await it.bot()
        await it.online()
        await it.simulator.fault(Frozen(platform="lark", times=None))
        noticed = await _noticed(it)
    async with stage("lark") as it:
        await it.quick()
        bot = await it.bot()
        await it.online()
        it.simulator.program.send(signal.SIGSTOP)
        await asyncio.sleep(150)
        before = _lines(bot.text())
        alive = is_alive(bot.pid)
        it.simulator.program.send(signal.SIGCONT)
        return f"frozen connection: {noticed}; server stopped 150 s: alive {alive}, its log: {before}"


async def _noticed(it: Stage) -> str:
    again = await it.seconds_until_open(total=2, deadline_s=120)
    return f"reconnected after {again and round(again, 1)} s"


def _lines(text: str) -> list[str]:
    return [line[:110] for line in text.splitlines() if "ERROR" in line or "Error" in line][-4:]


async def b3() -> str:
    """Idle with pongs."""
    async with stage("lark") as it:
        await it.quick()
        await it.bot()
        await it.online()
        await asyncio.sleep(120)
        state = await it.state()
        return f"{state.pongs} pongs, {state.connections_total} connection(s)"


async def b4() -> str:
    """Refusal for long, real timings scaled by 30; a server that accepts and closes at once."""
    async with stage("lark") as it:
        await it.quick(ReconnectNonce=1, ReconnectInterval=3)
        await it.bot()
        await it.online()
        await it.simulator.fault(LarkDiscoveryStatus(platform="lark", status=500))
        await it.simulator.drop("lark", how="abort")
        await asyncio.sleep(40)
        times = (await it.state()).discovery_times
        gaps = [round(b - a, 1) for a, b in pairwise(times[1:])]
    async with stage("lark") as it:
        await it.bot()
        await it.online()
        await it.simulator.fault(AcceptThenClose(platform="lark"))
        await it.simulator.drop("lark")
        await asyncio.sleep(120)
        total = (await it.state()).connections_total
        return f"refused, gaps with ReconnectInterval 3: {gaps}; closed at once: {total - 1} in 120 s"


async def b5() -> str:
    """SIGTERM while it waits to reconnect."""
    async with stage("lark") as it:
        bot = await it.bot()
        await it.online()
        await it.simulator.fault(LarkDiscoveryStatus(platform="lark", status=500))
        await it.simulator.drop("lark", how="abort")
        await asyncio.sleep(3)
        code, took = await bot.stop(signal.SIGTERM)
        return f"SIGTERM while waiting: exit {code} after {took * 1000:.0f} ms; inside a host there is no way"


async def b7() -> str:
    """A wrong secret at the start, and while reconnecting."""
    async with stage("lark") as it:
        await it.simulator.register("lark", app=it.app, secret="another")
        bot = await it.bot()
        code = await bot.ended(deadline_s=60)
        first = f"at start: exit {code} after {(await it.state()).discovery_calls} attempt"
    async with stage("lark") as it:
        await it.quick()
        bot = await it.bot()
        await it.online()
        await it.simulator.register("lark", app=it.app, secret="another")
        await it.simulator.drop("lark", how="abort")
        await asyncio.sleep(8)
        calls = (await it.state()).discovery_calls
        await it.simulator.register("lark", app=it.app, secret=f"secret-of-{it.app}")
        await asyncio.sleep(40)
        more = (await it.state()).discovery_calls - calls
        alive = is_alive(bot.pid)
        return (
            f"{first}; reconnecting: {calls - 1} attempt, then {more} in 40 s after the mend, alive: {alive}"
        )


async def b10() -> str:
    """The connection limit."""
    limit = LarkDiscoveryCode(
        platform="lark", code=1000040350, msg="the number of connections exceeded the limit"
    )
    async with stage("lark") as it:
        await it.simulator.fault(limit)
        bot = await it.bot()
        code = await bot.ended(deadline_s=60)
        first = f"at start: exit {code} after {(await it.state()).discovery_calls} attempt"
    async with stage("lark") as it:
        await it.quick()
        bot = await it.bot()
        await it.online()
        fault = await it.simulator.fault(limit)
        await it.simulator.drop("lark", how="abort")
        await asyncio.sleep(8)
        calls = (await it.state()).discovery_calls
        await it.simulator.clear_faults(fault)
        await asyncio.sleep(30)
        more = (await it.state()).discovery_calls - calls
        return f"{first}; reconnecting: {calls - 1} attempt, then {more} in 30 s, alive: {is_alive(bot.pid)}"


async def e1() -> str:
    """SIGKILL and another start while events wait in the program's own queue."""
    async with stage("lark", time_scale=3600) as it:
        for n in range(2):
            command = [sys.executable, str(HERE / "lark_queue_bot.py"), it.simulator.url, it.app]
            it.bots.append(await Program.start(command, output=it.folder / f"queue-{n}.log"))
            await it.online()
            if n == 0:
                await it.simulator.inject_lark(LarkEvent(app=it.app, count=200))
                await asyncio.sleep(2)
                await it.bots[0].kill()
        await asyncio.sleep(15)
        acked = (await it.state()).acked
        return f"{acked} of 200 events acked, {len(set(it.handled()))} ever handled"


async def e3() -> str:
    """A redelivery with a new event id, after the 5 s of the SDK's own cache."""
    async with stage("lark") as it:
        await it.bot()
        await it.online()
        (ids,) = await it.simulator.inject_lark(LarkEvent(app=it.app, has_fresh_event_ids=True))
        await asyncio.sleep(7)
        await it.simulator.redeliver("lark", app=it.app, identity=ids.message_id)
        await asyncio.sleep(2)
        return f"handler called {len(it.handled())}x for one message id"


async def g1() -> str:
    """SIGKILL of the program that started it, and another start."""
    async with stage("lark") as it:
        url, bot = it.simulator.url, HERE / "lark_bot.py"
        command = repr([sys.executable, str(bot), url, it.app])
        code = (
            f"import subprocess, time; print(subprocess.Popen({command}).pid, flush=True); time.sleep(1000)"
        )
        host = await Program.start([sys.executable, "-c", code], output=it.folder / "host.log")
        await it.online()
        orphan = int(host.text().split()[0])
        await host.kill()
        await asyncio.sleep(10)
        alive = is_alive(orphan)
        await it.bot()
        await it.online(connections=2)
        most = (await it.state()).connections_max_open
        os.kill(orphan, signal.SIGKILL)
        return (
            f"10 s after SIGKILL of its host: alive {alive}; after another start {most} connections at once"
        )


async def g5() -> str:
    """Stopped or wedged: what the program itself says."""
    async with stage("lark") as it:
        bot = await it.bot()
        await it.online()
        size = len(bot.text())
        bot.send(signal.SIGSTOP)
        await asyncio.sleep(45)
        closed = (await it.state()).connections[0].closed_at
        bot.send(signal.SIGCONT)
        grown = len(bot.text()) - size
        return f"45 s stopped: connection closed by anyone: {closed is not None}, log grew {grown} bytes"


async def g6() -> str:
    """What its log says at its default level."""
    async with stage("lark") as it:
        bot = await it.bot()
        await it.online()
        await asyncio.sleep(1)
        text = bot.text()
        return f"log has access_key: {'access_key=' in text}, ticket: {'ticket=' in text}"


ROWS = {
    "A1": a1,
    "A2": a2,
    "A3": a3,
    "A4": a4,
    "A5": a5,
    "A7": a7,
    "A8": a8,
    "A9": a9,
    "B1": b1,
    "B2": b2,
    "B3": b3,
    "B4": b4,
    "B5": b5,
    "B7": b7,
    "B10": b10,
    "E1": e1,
    "E3": e3,
    "G1": g1,
    "G5": g5,
    "G6": g6,
}
