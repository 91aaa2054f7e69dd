"""Durable events a second from a producer to a subscriber, and what they cost: Longwire beside others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter

from bench.contenders import jetstream, longwire, pipeline, redis_streams
from bench.contenders.carrying import Contender
from bench.contenders.rounds import Series, compete
from bench.rows import Row, middle
from bench.stage import Bench

CLIENT, RAW_READER = "Python client", "raw DEALER"
_APART, _UNCHECKED = "Redis, SET NX apart", "Redis, no dedup"

_TARGETS = {
    pipeline.NAME: ">= 100,000; ratio >= 0.5",
    redis_streams.NAME: "ratio >= 2.5",
    _APART: "ratio >= 2.5",
    jetstream.NAME: "ratio >= 5",
}
_COSTS = {
    "all processes": "total_us",
    "supervisor": "core_us",
    "child": "producer_us",
    "subscriber": "subscriber_us",
}
_PEERS = (pipeline.NAME, redis_streams.NAME, jetstream.NAME)
"""Who keeps the promise that we keep, as far as they can."""

_COST_NOTE = (
    "user and system, Longwire with the Python client; a child makes and encodes each event as a connector "
    "does, the other producers send ready-made bytes with a new id"
)


async def measure(bench: Bench) -> list[Row]:
    """Let all carry the first events of an empty journal."""
    contenders = [
        longwire.contender(CLIENT, "client"),
        longwire.contender(RAW_READER, "raw"),
        pipeline.contender(),
        *_redis(),
        jetstream.contender(),
    ]
    count, rounds = bench.pick(50_000, 1_000_000), bench.pick(1, 3)
    series = await compete(bench, contenders, count=count, rounds=rounds)
    return [
        *speeds(series, contenders, name="durable events/s", targets=_TARGETS),
        *costs(series, name="CPU per durable event"),
    ]


def _redis() -> list[Contender]:
    """Return it three times: with the same promise, with half of it, with none."""
    atomic = "SET NX EX and XADD of a batch in one script: both or neither"
    apart = "SET NX EX of a batch, then XADD of what is new: a crash in between loses events"
    unchecked = "redeliveries are not recognised"
    return [
        redis_streams.contender(redis_streams.NAME, dedup="atomic", promise=atomic),
        redis_streams.contender(_APART, dedup="apart", promise=apart),
        redis_streams.contender(_UNCHECKED, dedup="none", promise=unchecked),
    ]


def speeds(
    series: Series, contenders: Sequence[Contender], *, name: str, targets: Mapping[str, str]
) -> list[Row]:
    """Return what the Python client gets against each other, and a raw DEALER against the raw pipeline."""
    promises = {contender.name: contender.promise for contender in contenders}
    others = [other for other in series if other not in (CLIENT, RAW_READER)]
    pairs = [(CLIENT, other) for other in others] + [(RAW_READER, pipeline.NAME)]
    return [
        middle(
            f"{name}, {reader}",
            _each(series, reader, "per_s"),
            unit="events/s",
            baseline=_each(series, other, "per_s"),
            against=other,
            target=targets.get(other, "-"),
            note=f"{other}, {series[other][0].event_bytes:.0f} bytes decoded per event: {promises[other]}",
        )
        for reader, other in pairs
    ]


def costs(series: Series, *, name: str) -> list[Row]:
    """Return what an event costs with the Python client, process by process."""
    return [
        middle(
            f"{name}, {who}",
            _each(series, CLIENT, figure),
            unit="us",
            baseline=_each(series, other, figure),
            against=other,
            note=_COST_NOTE,
        )
        for who, figure in _COSTS.items()
        for other in _PEERS
        if other in series
    ]


def _each(series: Series, name: str, figure: str) -> list[float]:
    return [attrgetter(figure)(carried) for carried in series[name]]
