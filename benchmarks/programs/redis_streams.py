"""Redis Streams with redis-py: `redis_streams.py produce|subscribe SOCKET COUNT atomic|apart|none`.

The producer pipelines and the subscriber reads and acks in batches, over a Unix socket.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import redis
from events import Made, Tally, batches, report_cpu, say_ready

STREAM, GROUP, READER = "events", "readers", "reader"
_DEDUP_S = 24 * 3600
_READ = 1000
_BLOCK_MS = 1000

_ADD_NEW = f"""
for n = 1, #KEYS do
  if redis.call('SET', KEYS[n], '', 'NX', 'EX', {_DEDUP_S}) then
    redis.call('XADD', '{STREAM}', '*', 'e', ARGV[n])
  end
end
"""


def produce(socket: str, count: int, dedup: str) -> None:
    add = _ways(redis.Redis(unix_socket_path=socket))[dedup]
    for batch in batches(count):
        add(batch)
    report_cpu()


def _ways(server: redis.Redis) -> dict[str, Callable[[Made], None]]:
    """Return how a batch is added, by the kind of deduplication."""
    script = server.register_script(_ADD_NEW)

    def atomic(batch: Made) -> None:
        script(keys=[_key(digits) for digits, _ in batch], args=[body for _, body in batch])

    def apart(batch: Made) -> None:
        pipe = server.pipeline(transaction=False)
        for digits, _ in batch:
            pipe.set(_key(digits), b"", nx=True, ex=_DEDUP_S)
        none([event for event, is_new in zip(batch, pipe.execute(), strict=True) if is_new])

    def none(batch: Made) -> None:
        pipe = server.pipeline(transaction=False)
        for _, body in batch:
            pipe.xadd(STREAM, {"e": body})
        pipe.execute()

    return {"atomic": atomic, "apart": apart, "none": none}


def _key(digits: str) -> str:
    return f"loop:{digits}"


def subscribe(socket: str, count: int) -> None:
    server = redis.Redis(unix_socket_path=socket)
    server.xgroup_create(STREAM, GROUP, mkstream=True)
    say_ready()
    tally = Tally(count)
    while not tally.is_complete:
        for _, entries in server.xreadgroup(GROUP, READER, {STREAM: ">"}, count=_READ, block=_BLOCK_MS):
            for _, fields in entries:
                tally.take(fields[b"e"])
            server.xack(STREAM, GROUP, *[number for number, _ in entries])
    tally.report()


match sys.argv[1:]:
    case ["produce", socket, count, dedup]:
        produce(socket, int(count), dedup)
    case ["subscribe", socket, count, _]:
        subscribe(socket, int(count))
    case _:
        sys.exit(__doc__)
