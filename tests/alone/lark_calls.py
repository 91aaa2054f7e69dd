"""What plain code does with lark-oapi's own client: `lark_calls.py URL APP WHAT`; prints lines of JSON."""

import asyncio
import json
import os
import sys
import threading
import time

import lark_oapi as lark
from lark_oapi.api.im.v1 import CreateMessageRequest, CreateMessageRequestBody
from lark_oapi.event.dispatcher_handler import EventDispatcherHandler

URL, APP, WHAT = sys.argv[1:4]
THREADS, CALLS = 8, 64


def new_client() -> lark.Client:
    """Return a client as its documents make one."""
    return lark.Client.builder().app_id(APP).app_secret(f"secret-of-{APP}").domain(URL).build()


def send(client: lark.Client, text: str) -> bool:
    """Send a text; return whether it was taken."""
    body = CreateMessageRequestBody.builder().receive_id("oc_alone").msg_type("text")
    body = body.content(json.dumps({"text": text})).build()
    request = CreateMessageRequest.builder().receive_id_type("chat_id").request_body(body).build()
    return bool(client.im.v1.message.create(request).success())


def bot() -> lark.ws.Client:
    """Return a bot's connection, not started."""
    handler = EventDispatcherHandler.builder("", "").build()
    return lark.ws.Client(APP, f"secret-of-{APP}", event_handler=handler, domain=URL)


def say(**what: object) -> None:
    """Print what was seen."""
    print(json.dumps(what), flush=True)  # noqa: T201


def d1() -> None:
    """Eight threads, 64 calls each."""
    client, taken, errors = new_client(), [], []

    def work() -> None:
        for n in range(CALLS):
            try:
                taken.append(send(client, f"{n}"))
            except Exception as error:  # noqa: BLE001  it is what is looked at
                errors.append(repr(error))

    begun = time.monotonic()
    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say(taken=sum(taken), errors=errors[:3], seconds=round(time.monotonic() - begun, 1))


def d4() -> None:
    """The program ends while a thread's call hangs."""
    thread = threading.Thread(target=send, args=(new_client(), "hangs"))
    thread.start()
    say(ending=True)


def d5() -> None:
    """Start it inside a running loop, and on another thread."""
    seen = {}

    async def inside() -> None:
        bot().start()

    try:
        asyncio.run(inside())
    except BaseException as error:  # noqa: BLE001  it is what is looked at
        seen["inside a running loop"] = repr(error)

    def on_thread() -> None:
        try:
            bot().start()
        except BaseException as error:  # noqa: BLE001
            seen["on a thread"] = repr(error)

    thread = threading.Thread(target=on_thread, daemon=True)
    thread.start()
    thread.join(10)
    say(**seen, thread_alive=thread.is_alive())
    os._exit(0)


def d7() -> None:
    """Fork after it was started on a thread."""
    threading.Thread(target=bot().start, daemon=True).start()
    time.sleep(5)
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    say(forked=True)
    time.sleep(60)


{"d1": d1, "d4": d4, "d5": d5, "d7": d7}[WHAT]()
