"""A bot whose answers grow in a card while they are made up, as those of language models do.

Put your model in place of `think`. Killed in the middle, it gets the message again and goes on in the same
card: the event's id is the key of the command that made it.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

from longwire import Client, CommandError, Event

ENDPOINT = os.environ.get("LONGWIRE_ENDPOINT", "ipc://var/longwire.sock")
PAUSE_S = float(os.environ.get("PAUSE_S", "0.1"))


async def think(question: str) -> AsyncIterator[str]:
    """Yield an answer piece by piece."""
    for word in f"You said «{question}». Let me think about that for a while, word by word.".split():
        await asyncio.sleep(PAUSE_S)
        yield f"{word} "


async def answer(client: Client, event: Event) -> None:
    """Let the answer grow where the question was asked; where no card can, say it when it is whole."""
    if event.platform not in await growing(client):
        whole = "".join([piece async for piece in think(event.text or "")])
        await client.reply(event, text=whole)
        return
    card = await client.reply(event, stream={"text": "..."}, idempotency_key=event.id)

    async def show(text: str, **how: Any) -> None:
        params = {"message_id": card["message_id"], "stream": {"text": text, **how}}
        await client.call("card.update", params, account=event.account)

    text = ""
    async with asyncio.TaskGroup() as tasks:
        showing: asyncio.Task[None] | None = None
        async for piece in think(event.text or ""):
            text += piece
            # The model does not wait for the platform: what comes meanwhile is shown by the next one.
            if showing is None or showing.done():
                showing = tasks.create_task(show(text))
    await show(text, final=True)


async def growing(client: Client) -> set[str]:
    """Return the platforms on which a text can grow in a card."""
    details = (await client.call("get_supported"))["details"]
    return {
        name for name, can in details.items() if "stream" in can.get("contents", {}).get("card.update", ())
    }


async def answer_everything() -> None:
    async with Client(ENDPOINT, connect_timeout_s=60) as client:
        async for event in client.subscribe("streaming-reply", types=["message.created"]):
            try:
                await answer(client, event)
            except* CommandError as errors:
                print(f"{event.account}: no answer to {event.message_id}: {errors.exceptions}", flush=True)
            await event.ack()


async def main() -> None:
    bot = asyncio.create_task(answer_everything(), name="streaming reply")
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, bot.cancel)
    await asyncio.wait([bot])
    if not bot.cancelled():
        bot.result()


if __name__ == "__main__":
    asyncio.run(main())
