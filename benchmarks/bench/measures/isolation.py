"""One account is in trouble: what its siblings' restarts notice of it (T8)."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import statistics
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from bench.rows import Row
from bench.stage import Bench, Stage, inside, staged
from bench.states import States, kill_child, watching
from harness.longwire import lark

_HEALTHY = 20
_ALONE, _STOPPED = "alone", "stopped"
_TROUBLES = {"crash": "crash-loops", "hang": "hangs in its start", "flood": "floods its log"}
_BACKOFF = {"backoff_initial_s": 0.1, "backoff_max_s": 0.5}
"""Of the sibling: one that crashes is started two or three times a second all the time."""

_HEARTBEAT_TIMEOUT_S = 3_600.0
"""Of the sibling that is stopped: it stays so for the whole round."""

_TROUBLE_S = 1.0
"""From the beginning of the trouble to the first kill."""

Trouble = Callable[[], AbstractAsyncContextManager[None]]


async def measure(bench: Bench) -> list[Row]:
    """Kill healthy children in rounds: with no sibling in trouble, with one that is stopped, and so on."""
    cycles, kills, round_s = 2, bench.pick(5, 25), bench.pick(2, 30)
    ready_ms: dict[str, list[float]] = {}
    async with staged(bench, _accounts, backoff_initial_s=0.0, backoff_max_s=0.0) as stage:
        await stage.longwire.start(env=inside(stage.folder))
        names = [name for name in stage.longwire.accounts if name.startswith("bot")]
        await stage.longwire.until_online(*names, _STOPPED)
        for trouble in _TROUBLES:
            await _tell(stage, "account.stop", trouble)
        turns = itertools.cycle(names)
        async with watching(stage.longwire.client) as states:
            for _ in range(cycles):
                for what, in_trouble in _troubles(stage).items():
                    async with in_trouble():
                        got = await _kill(stage, states, turns, kills=kills, pause_s=round_s / kills)
                    ready_ms.setdefault(what, []).extend(got)
    return _rows(ready_ms)


def _accounts(url: str) -> dict[str, dict[str, Any]]:
    healthy = {f"bot{n}": lark(url, f"cli_bot{n}") for n in range(_HEALTHY)}
    stopped = lark(url, "cli_stopped", heartbeat_timeout_s=_HEARTBEAT_TIMEOUT_S)
    troubled = {name: {"connector": "troubled", "trouble": name, **_BACKOFF} for name in _TROUBLES}
    return {**healthy, _STOPPED: stopped, **troubled}


def _rows(ready_ms: dict[str, list[float]]) -> list[Row]:
    alone = statistics.median(ready_ms.pop(_ALONE))
    return [
        Row(
            name=f"SIGKILL to ready, p50, while a sibling {_TROUBLES.get(what, 'is stopped')}",
            value=statistics.median(values),
            unit="ms",
            baseline=alone,
            target="<= baseline + 5 ms (T8)",
            note=f"{_HEALTHY} healthy Lark accounts; baseline: kills in turn with these, nobody in trouble",
        )
        for what, values in ready_ms.items()
    ]


def _troubles(stage: Stage) -> dict[str, Trouble]:
    """Return what happens in each round."""
    started: dict[str, Trouble] = {name: partial(_started, stage, name) for name in _TROUBLES}
    return {_ALONE: _no_trouble, _STOPPED: partial(_stopped, stage), **started}


@asynccontextmanager
async def _no_trouble() -> AsyncIterator[None]:
    await asyncio.sleep(_TROUBLE_S)
    yield


@asynccontextmanager
async def _stopped(stage: Stage) -> AsyncIterator[None]:
    pid = (await stage.longwire.account(_STOPPED))["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(_TROUBLE_S)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def _started(stage: Stage, name: str) -> AsyncIterator[None]:
    await stage.longwire.client.call("account.start", account=name)
    await asyncio.sleep(_TROUBLE_S)
    yield
    await _tell(stage, "account.stop", name)


async def _tell(stage: Stage, method: str, name: str) -> None:
    await stage.longwire.client.call(method, account=name)
    await stage.longwire.until_state(name, "stopped")


async def _kill(
    stage: Stage, states: States, names: Iterator[str], *, kills: int, pause_s: float
) -> list[float]:
    """Return how long each successor took to be ready, in milliseconds."""
    took: list[float] = []
    for _ in range(kills):
        took.append((await kill_child(stage, states, next(names))).ready_ms)
        await asyncio.sleep(pause_s)  # spread over the whole round
    return took
