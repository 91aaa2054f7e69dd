"""A bot that works behind a queue, as Lark's 3 s for an ack ask for: `lark_queue_bot.py URL APP`."""

import queue
import sys
import threading
import time

import lark_oapi as lark
from lark_oapi.event.dispatcher_handler import EventDispatcherHandler

WORK_S = 0.02
waiting: queue.Queue[str] = queue.Queue()


def work() -> None:
    """Do what an event asks for, one after the other."""
    while True:
        message_id = waiting.get()
        time.sleep(WORK_S)  # a quick answer of some API
        print(f"handled {message_id}", flush=True)  # noqa: T201


def on_message(data: lark.im.v1.P2ImMessageReceiveV1) -> None:
    """Put one event into the queue; returning acknowledges it."""
    waiting.put(data.event.message.message_id)


def main() -> None:
    """Run until something ends it."""
    threading.Thread(target=work, daemon=True).start()
    handler = EventDispatcherHandler.builder("", "").register_p2_im_message_receive_v1(on_message).build()
    app = sys.argv[2]
    lark.ws.Client(app, f"secret-of-{app}", event_handler=handler, domain=sys.argv[1]).start()


main()
