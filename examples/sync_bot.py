"""A bot in plain code, without asyncio, that says everything back, on every account of the supervisor.

The client may be called from any thread: a web application can send through the same one. Start it before or
after the supervisor, stop it, kill it: the subscription «sync-echo» remembers what it has done.
"""

import os
import signal
from contextlib import suppress

from longwire import CommandError, SyncClient

ENDPOINT = os.environ.get("LONGWIRE_ENDPOINT", "ipc://var/longwire.sock")


def answer_everything() -> None:
    with (
        SyncClient(ENDPOINT, connect_timeout_s=60) as client,
        client.subscribe("sync-echo", types=["message.created"]) as events,
    ):
        for event in events:
            try:
                # With the event's own key there is one answer, however often the event comes.
                client.reply(event, text=f"echo: {event.text}", idempotency_key=event.key())
            except CommandError as error:
                print(f"{event.account}: no reply to {event.message_id}: {error}", flush=True)
                if error.retryable:
                    event.nack(delay_s=2)
                    continue
            event.ack()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop as by Ctrl-C
    with suppress(KeyboardInterrupt):
        answer_everything()
