"""A bot that says everything back, on every account of the supervisor.

Start it before or after the supervisor, stop it, kill it: the subscription «echo» remembers what it has done.
"""

import asyncio
import os
import signal

from longwire import Client, CommandError

ENDPOINT = os.environ.get("LONGWIRE_ENDPOINT", "ipc://var/longwire.sock")


async def answer_everything() -> None:
    async with Client(ENDPOINT, connect_timeout_s=60) as client:
        async for event in client.subscribe("echo", types=["message.created"]):
            try:
                # With the event's own key there is one answer, however often the event comes.
                await client.reply(event, text=f"echo: {event.text}", idempotency_key=event.key())
            except CommandError as error:
                print(f"{event.account}: no reply to {event.message_id}: {error}", flush=True)
                if error.retryable:
                    await event.nack(delay_s=2)
                    continue
            await event.ack()


async def main() -> None:
    bot = asyncio.create_task(answer_everything(), name="echo")
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, bot.cancel)
    await asyncio.wait([bot])
    if not bot.cancelled():
        bot.result()


if __name__ == "__main__":
    asyncio.run(main())
