"""Children of a fleet are killed: how long until a successor is ready, and online again."""

from __future__ import annotations

from typing import Any

from bench.plain import NOTE, plain_sdk
from bench.rows import Row, Target, spread
from bench.stage import Bench, simulated, staged
from bench.states import Recovery, kill_child, watching
from harness.longwire import lark

_READY = Target("<= 25 ms (T1)", "<= 60 ms (T1)")
_ONLINE = Target("<= 150 ms", "-")
_NOTE = f"{NOTE}; from its start until it is connected"


async def measure(bench: Bench) -> list[Row]:
    """Kill children of different accounts, without a backoff and with the default one."""
    plain_ms = await _start_plain(bench)
    at_once = await _kill(bench, backoff_initial_s=0.0, backoff_max_s=0.0)
    by_default = await _kill(bench)
    rows: list[Row] = []
    for what, values, target in (
        ("ready, backoff 0", [each.ready_ms for each in at_once], _READY),
        ("online again, backoff 0", [each.online_ms for each in at_once], Target("-", "-")),
        ("online again, first restart", [each.online_ms for each in by_default], _ONLINE),
    ):
        name = f"SIGKILL to {what}"
        rows += spread(name, values, tail=95, unit="ms", target=target, baseline=plain_ms, note=_NOTE)
    return rows


async def _start_plain(bench: Bench) -> list[float]:
    """Return how long plain processes take, one after the other."""
    folder = bench.new_folder()
    took_ms: list[float] = []
    async with simulated(folder) as simulator:
        for number in range(bench.pick(1, 3)):
            async with plain_sdk(simulator, f"cli_plain{number}", folder=folder) as plain:
                took_ms.append(plain.start_s * 1000)
    return took_ms


async def _kill(bench: Bench, **defaults: Any) -> list[Recovery]:
    """Return what became of each killed child of a fleet."""
    names = [f"bot{n}" for n in range(bench.pick(10, 100))]
    async with staged(
        bench, lambda url: {name: lark(url, f"cli_{name}") for name in names}, **defaults
    ) as stage:
        await stage.longwire.start()
        await stage.longwire.until_online()
        async with watching(stage.longwire.client) as states:
            return [await kill_child(stage, states, name) for name in names[: bench.pick(10, 50)]]
