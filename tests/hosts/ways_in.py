"""A host that starts and stops a supervisor from wherever it happens to be."""

from __future__ import annotations

import asyncio
import sys
import threading

from hosts import loopback, say
from longwire import Supervisor

FOLDER = sys.argv[1]


def from_plain_code() -> object:
    supervisor = Supervisor(loopback(FOLDER, "acme"))
    supervisor.start()
    try:
        supervisor.converged(timeout_s=60).result()
        return supervisor.call("message.create", {"chat": "c", "text": "t"}, account="acme").result()
    finally:
        supervisor.stop()
        supervisor.stop()


async def inside_a_running_loop() -> object:
    with Supervisor(loopback(FOLDER, "acme")) as supervisor:  # blocks this loop, and nothing else
        await supervisor.converged(timeout_s=60)
        async with supervisor.client() as client:
            return await client.send("acme", "c", "t")


async def as_a_block_of_the_loop() -> object:
    async with Supervisor(loopback(FOLDER, "acme")) as supervisor:
        await supervisor.converged(timeout_s=60)
        client = supervisor.client()
        await client.send("acme", "c", "said before anyone subscribed")
        async for event in client.subscribe("ways-in", start="all", types=["message.created"]):
            await event.ack()
            return event.text
    return None


def from_another_thread() -> object:
    said: list[object] = []
    thread = threading.Thread(target=lambda: said.append(from_plain_code()))
    thread.start()
    thread.join()
    return said[0]


async def from_a_thread_of_the_loop() -> object:
    return await asyncio.to_thread(from_plain_code)


def main() -> None:
    ways = {
        "plain": from_plain_code(),
        "running loop": asyncio.run(inside_a_running_loop()),
        "block": asyncio.run(as_a_block_of_the_loop()),
        "thread": from_another_thread(),
        "to_thread": asyncio.run(from_a_thread_of_the_loop()),
    }
    say(ways=[name for name, answer in ways.items() if answer], nested="nest_asyncio" in sys.modules)


if __name__ == "__main__":
    main()
