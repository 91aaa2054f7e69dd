"""Three bots in one program, as hosts try it: `lark_threads.py URL`; a line for each that could not start."""

import sys
import threading

import lark_oapi as lark
from lark_oapi.event.dispatcher_handler import EventDispatcherHandler


def run(app: str) -> None:
    """Start one bot; `start` returns only by an exception."""
    handler = EventDispatcherHandler.builder("", "").build()
    client = lark.ws.Client(app, f"secret-of-{app}", event_handler=handler, domain=sys.argv[1])
    try:
        client.start()
    except Exception as error:  # noqa: BLE001  # that is what is looked at
        print(f"failed {app} {error!r}", flush=True)  # noqa: T201


def main() -> None:
    """Start three, one after the other."""
    threads = [threading.Thread(target=run, args=(f"cli_{n:016x}",)) for n in range(3)]
    for thread in threads:
        thread.start()
        thread.join(3.0)
    for thread in threads:
        thread.join()


main()
