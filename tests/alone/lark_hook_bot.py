"""A bot that posts each event on, from its handler: `lark_hook_bot.py URL APP TARGET...`.

With requests, which lark-oapi brings along: one target after the other, 30 s for each.
"""

import sys

import lark_oapi as lark
import requests
from lark_oapi.event.dispatcher_handler import EventDispatcherHandler

TARGETS = sys.argv[3:]


def on_message(data: lark.im.v1.P2ImMessageReceiveV1) -> None:
    """Post one event to all."""
    message_id = data.event.message.message_id
    for target in TARGETS:
        try:
            requests.post(target, json={"message_id": message_id}, timeout=30)
        except requests.RequestException as error:
            print(f"failed {type(error).__name__}", flush=True)  # noqa: T201
    print(f"handled {message_id}", flush=True)  # noqa: T201


def main() -> None:
    """Run until something ends it."""
    handler = EventDispatcherHandler.builder("", "").register_p2_im_message_receive_v1(on_message).build()
    app = sys.argv[2]
    lark.ws.Client(app, f"secret-of-{app}", event_handler=handler, domain=sys.argv[1]).start()


main()
