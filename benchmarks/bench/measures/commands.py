"""A hundred clients' commands at once, for a hundred accounts: none refused, and how long each takes."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable

from bench.floor import floor
from bench.rows import Row, Target, spread
from bench.stage import Bench, staged
from longwire import Client

_ACCOUNTS = 100
_TARGET = Target("-", "<= 50 ms (T9)")
_NOTE = "baseline: the same client, a ROUTER that sends a ready-made reply"


async def measure(bench: Bench) -> list[Row]:
    """Ask the supervisor, and through it the children, for something."""
    names = [f"bot{n}" for n in range(_ACCOUNTS)]
    rounds = bench.pick(10, 30)
    async with staged(bench, lambda _: {name: {"connector": "loopback"} for name in names}) as stage:
        await stage.longwire.start()
        await stage.longwire.until_online()
        client = stage.longwire.client
        async with (
            floor(bench.new_folder(), beats_per_s=_ACCOUNTS) as ground,
            Client(ground.endpoint) as echo,
        ):
            gc.freeze()  # all that the tables and plots have imported: a full round over it takes 20 ms
            floor_ms = await _rounds(lambda _: echo.call("account.get"), rounds)
        asked_ms = await _rounds(lambda n: client.call("account.get", account=names[n]), rounds)
        sent_ms = await _rounds(lambda n: client.send(names[n], "chat", text="hello"), rounds)
    return [
        *_rows("account.get", asked_ms, floor_ms),
        *_rows("message.create, through its child", sent_ms, floor_ms),
    ]


def _rows(what: str, took_ms: list[float], floor_ms: list[float]) -> list[Row]:
    name = f"{_ACCOUNTS} concurrent {what}"
    return spread(name, took_ms, tail=99, unit="ms", target=_TARGET, baseline=floor_ms, note=_NOTE)


async def _rounds(ask: Callable[[int], Awaitable[object]], rounds: int) -> list[float]:
    """Return how many milliseconds each request took, a hundred of them under way at once."""

    async def timed(number: int) -> float:
        begun = time.perf_counter()
        await ask(number)
        return (time.perf_counter() - begun) * 1000

    await asyncio.gather(*(timed(n) for n in range(_ACCOUNTS)))
    took: list[float] = []
    for _ in range(rounds):
        took += await asyncio.gather(*(timed(n) for n in range(_ACCOUNTS)))
    return took
