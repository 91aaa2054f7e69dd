"""NATS JetStream with nats-py: `jetstream.py produce|subscribe URL COUNT`.

The stream is on files, with the server's own sync settings; publishes are asynchronous with a window, each
with a `Nats-Msg-Id`; the consumer pulls batches and acks every message.
"""

from __future__ import annotations

import asyncio
import sys

import nats
from events import Tally, batches, report_cpu, say_ready
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StorageType, StreamConfig

STREAM, SUBJECT = "events", "events.lark"
_DEDUP_S = 24 * 3600.0
_WINDOW = 8192
"""Publishes under way; nats-py's default is 4000, a wider one was no faster nor slower."""

_STALL_S = 60.0
_FETCH = 1000
_FETCH_S = 60.0


async def produce(url: str, count: int) -> None:
    connection = await nats.connect(url)
    stream = connection.jetstream(publish_async_max_pending=_WINDOW)
    for batch in batches(count):
        for digits, body in batch:
            await stream.publish_async(
                SUBJECT, body, wait_stall=_STALL_S, headers={"Nats-Msg-Id": f"loop:{digits}"}
            )
    await stream.publish_async_completed()
    report_cpu()
    await connection.close()


async def subscribe(url: str, count: int) -> None:
    connection = await nats.connect(url)
    stream = connection.jetstream()
    await stream.add_stream(
        StreamConfig(
            name=STREAM,
            subjects=[SUBJECT],
            storage=StorageType.FILE,
            retention=RetentionPolicy.LIMITS,
            duplicate_window=_DEDUP_S,
        )
    )
    reader = await stream.pull_subscribe(
        SUBJECT, "reader", config=ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, max_ack_pending=20_000)
    )
    say_ready()
    tally = Tally(count)
    while not tally.is_complete:
        for message in await reader.fetch(_FETCH, timeout=_FETCH_S):
            tally.take(message.data)
            await message.ack()
    await connection.flush()
    tally.report()
    await connection.close()


match sys.argv[1:]:
    case ["produce", url, count]:
        asyncio.run(produce(url, int(count)))
    case ["subscribe", url, count]:
        asyncio.run(subscribe(url, int(count)))
    case _:
        sys.exit(__doc__)
