"""Rows F: a bot of lark-oapi that posts its events on from its handler."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from statistics import median

from alone.stage import HERE, Stage, stage
from harness.neighbours import GOOD, TROUBLES
from harness.processes import Program
from harness.targets.behaviour import Answer, Behaviour, Silent
from harness.targets.client import Targets
from longwire_connectors.simulator.injections import LarkEvent


@asynccontextmanager
async def hooks(behaviours: Mapping[str, Behaviour]) -> AsyncIterator[tuple[Stage, Targets, Program]]:
    """Set up a bot that posts to such targets, in this order."""
    async with stage("lark") as it, Targets(it.folder) as targets:
        urls = [await targets.open(name, behaviour) for name, behaviour in behaviours.items()]
        command = [sys.executable, str(HERE / "lark_hook_bot.py"), it.simulator.url, it.app, *urls]
        bot = await Program.start(command, output=it.folder / "hooks.log")
        it.bots.append(bot)
        await it.quick()
        await it.online()
        yield it, targets, bot


async def f1() -> str:
    """A hundred targets, three of them bad; then the same without those."""
    good = {f"good{n}": Answer() for n in range(GOOD)}
    bad = dict(TROUBLES[1])
    return f"{await _shares({**bad, **good})}; without the bad ones: {await _shares(good)}"


async def _shares(behaviours: Mapping[str, Behaviour]) -> str:
    async with hooks(behaviours) as (it, targets, _):
        for n in range(30):
            await it.simulator.inject_lark(LarkEvent(app=it.app, text=str(n)))
            await asyncio.sleep(1)
        await asyncio.sleep(30)
        tallies = await targets.tallies()
        arrived = [tallies[name].arrivals for name in tallies if name.startswith("good")]
        state = await it.state()
        return f"of 30 events in a minute {median(arrived):g} at each good target, {state.acked} acked"


async def f2() -> str:
    """A target that fails."""
    async with hooks({"crm": Answer(500)}) as (it, targets, _):
        await it.simulator.inject_lark(LarkEvent(app=it.app, count=40))
        await asyncio.sleep(20)
        state = await it.state()
        return f"{(await targets.tally('crm')).arrivals} posts in 20 s, {state.acked} acked"


async def f5() -> str:
    """A target that hangs."""
    async with hooks({"crm": Silent()}) as (it, targets, _):
        before = (await it.state()).pings
        await it.simulator.inject_lark(LarkEvent(app=it.app, count=3))
        await asyncio.sleep(28)
        pings = (await it.state()).pings - before
        posts = (await targets.tally("crm")).arrivals
        return f"28 s: {posts} post, {pings} pings where there should be 28, {(await it.state()).acked} acked"


async def f6() -> str:
    """SIGTERM while a target hangs."""
    async with hooks({"crm": Answer(delay_s=0.5)}) as (it, targets, bot):
        await it.simulator.inject_lark(LarkEvent(app=it.app, count=10))
        await targets.until_arrived("crm", 3)
        code, took_s = await bot.stop(signal.SIGTERM)
        arrived, state = (await targets.tally("crm")).arrivals, await it.state()
        return f"exit {code} after {took_s:.2f} s; {arrived} of 10 posted, {state.acked} acked"


async def f8() -> str:
    """A redirect to a place inside."""
    async with stage("lark") as it, Targets(it.folder) as targets:
        inside = await targets.open("inside")
        outside = await targets.open("outside", Answer(307, {"location": inside}))
        command = [sys.executable, str(HERE / "lark_hook_bot.py"), it.simulator.url, it.app, outside]
        it.bots.append(await Program.start(command, output=it.folder / "hooks.log"))
        await it.online()
        await it.simulator.inject_lark(LarkEvent(app=it.app))
        (arrival,) = await targets.until_arrived("inside", 1)
        return f"followed, with the body: {json.loads(arrival.body).keys()}"


ROWS = {"F1": f1, "F2": f2, "F5": f5, "F6": f6, "F8": f8}
