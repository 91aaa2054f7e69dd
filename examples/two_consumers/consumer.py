"""One of several consumers that share the work; start as many as there is work for.

Who opens a durable subscription by the same name shares it: each chat goes to one of them, so that its order
is kept. When one stops or dies, the others get its chats, and what it had not acknowledged.

From the root of the repository, beside `longwire simulate --port 7790`:

    honcho -f examples/two_consumers/Procfile -e examples/honcho.env start
"""

import asyncio
import os
import signal
import sys

from longwire import Client, CommandError

ENDPOINT = os.environ.get("LONGWIRE_ENDPOINT", "ipc://var/longwire.sock")


async def consume(name: str) -> None:
    async with Client(ENDPOINT, connect_timeout_s=60) as client:
        # Credit is how many events may be on their way to us at once. With little of it a slow consumer
        # leaves more of the new chats to the others.
        async for event in client.subscribe("desk", types=["message.created"], credit=8):
            try:
                # No `idempotency_key=event.key()` here: another consumer's answer to the same event differs.
                await client.reply(event, text=f"{name} here: {event.text}")
            except CommandError as error:
                print(f"no reply to {event.message_id}: {error}", flush=True)
                if error.retryable:
                    await event.nack(delay_s=2)
                    continue
            await event.ack()


async def main(name: str) -> None:
    consumer = asyncio.create_task(consume(name), name="consumer")
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, consumer.cancel)
    await asyncio.wait([consumer])
    if not consumer.cancelled():
        consumer.result()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
