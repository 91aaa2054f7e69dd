"""A host that leaves without a stop while a pool, a thread and a hook are at its supervisor."""

from __future__ import annotations

import logging
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

if sys.argv[2] == "no-hook":  # a Python that has it no more
    del threading._register_atexit  # type: ignore[attr-defined]

from hosts import loopback, say
from longwire import Supervisor

logging.basicConfig(level="INFO", stream=sys.stdout)
supervisor = Supervisor(loopback(sys.argv[1], "acme"))
supervisor.start()
supervisor.converged(timeout_s=60).result()
client = supervisor.sync_client()
client.send("acme", "c", "t")
are_reading = threading.Barrier(3)


def read(name: str) -> None:
    """Wait for an event that never comes."""
    events = client.subscribe(name, start="all", types=["message.created"])
    next(events).ack()
    are_reading.wait(60)
    for event in events:
        event.ack()


if sys.argv[2] == "no-hook":  # nobody may be left waiting then
    client.call("status")
else:
    pool = ThreadPoolExecutor(1)
    pool.submit(read, "pool")
    threading.Thread(target=read, args=("thread",)).start()
    are_reading.wait(60)
say(leaving=True)
