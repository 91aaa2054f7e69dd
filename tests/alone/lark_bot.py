"""A bot as lark-oapi's documents show it: `lark_bot.py URL APP [SECRET]`; a line for each call."""

import sys

import lark_oapi as lark
from lark_oapi.event.dispatcher_handler import EventDispatcherHandler


def on_message(data: lark.im.v1.P2ImMessageReceiveV1) -> None:
    """Tell of one event."""
    print(f"handled {data.event.message.message_id}", flush=True)  # noqa: T201


def main() -> None:
    """Run until something ends it."""
    url, app, secret = sys.argv[1], sys.argv[2], (*sys.argv, f"secret-of-{sys.argv[2]}")[3]
    handler = EventDispatcherHandler.builder("", "").register_p2_im_message_receive_v1(on_message).build()
    lark.ws.Client(app, secret, event_handler=handler, domain=url).start()


main()
