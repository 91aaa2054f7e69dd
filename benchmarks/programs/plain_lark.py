"""A bot on plain lark-oapi that counts its messages: `plain_lark.py URL APP REPORT`.

At SIGTERM it writes to REPORT, as JSON, when its handler got which message id.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import lark_oapi as lark

received: dict[str, float] = {}


def on_message(data: lark.im.v1.P2ImMessageReceiveV1) -> None:
    received[data.event.message.message_id] = time.time()


def on_sigterm(*_: object) -> None:
    Path(sys.argv[3]).write_text(json.dumps(received))
    os._exit(0)


signal.signal(signal.SIGTERM, on_sigterm)
handler = lark.EventDispatcherHandler.builder("", "").register_p2_im_message_receive_v1(on_message).build()
app = sys.argv[2]
lark.ws.Client(app, f"secret-of-{app}", event_handler=handler, domain=sys.argv[1]).start()
