"""A blackout of both platforms, a hundred accounts: when all are back, and how hard the platforms are hit."""

from __future__ import annotations

import time

from bench.outage import begin, busiest, crowd, end, per_second, watched
from bench.rows import Row
from bench.stage import Bench, staged

_LARK, _DINGTALK = 80, 20
_FULL_S, _QUICK_S = 600, 60
_BEFORE_S = 10.0
_PER_CONNECTOR = 50 + 50
"""`connect_rate_per_s` and `connect_burst`: what one second may see of each of the two connectors."""


async def measure(bench: Bench) -> list[Row]:
    """Cut everyone off, wait, let everyone in again; with the default settings."""
    blackout_s = bench.pick(_QUICK_S, _FULL_S)
    async with (
        staged(bench, lambda url: crowd(url, lark=_LARK, dingtalk=_DINGTALK)) as stage,
        watched(stage) as watch,
    ):
        cut_at = time.time() + _BEFORE_S
        await watch.look_for(_BEFORE_S)
        await begin(stage.simulator)
        await watch.look_for(blackout_s)
        await end(stage.simulator)
        back_at = time.time()
        await watch.until_all_online()
        over_at = watch.looks[-1].at
    at_start = [at for at in watch.attempts() if at < cut_at]
    during = [at for at in watch.attempts() if cut_at <= at]
    online = tuple((look.at - cut_at, float(look.online)) for look in watch.looks)
    attempts = per_second(during, begin=cut_at - _BEFORE_S, end=over_at)
    told = f"{_LARK} Lark and {_DINGTALK} DingTalk accounts, {blackout_s} s of HTTP 503, default settings"
    return [
        Row(
            name="blackout: attempts a second",
            value=busiest(during),
            unit="most",
            baseline=busiest(at_start),
            against="the start of all",
            target=f"<= {2 * _PER_CONNECTOR}, the start-up rate of both connectors",
            note=told,
            points=tuple((second - _BEFORE_S, count) for second, count in attempts),
        ),
        Row(
            name="blackout: accounts online",
            value=over_at - back_at,
            unit="s until all",
            target="<= one backoff cap (Lark 60 s, DingTalk 300 s)",
            note=told,
            points=online,
        ),
        Row(name="blackout: length", value=back_at - cut_at, unit="s", target="-", note=told),
        Row(name="blackout: attempts in all", value=len(during), unit="", target="-", note=told),
        Row(
            name="blackout: accounts parked",
            value=max(look.parked for look in watch.looks),
            unit="most",
            target="0",
            note=told,
        ),
    ]
