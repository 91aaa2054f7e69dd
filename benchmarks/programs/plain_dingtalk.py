"""A bot on plain dingtalk-stream that counts its messages: `plain_dingtalk.py URL APP REPORT`.

At SIGTERM it writes to REPORT, as JSON, when its handler got which message id.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import dingtalk_stream
from dingtalk_stream import AckMessage

received: dict[str, float] = {}


class Robot(dingtalk_stream.ChatbotHandler):
    """Takes the messages to the bot."""

    async def process(self, callback: dingtalk_stream.CallbackMessage) -> tuple[int, str]:
        """Count a message."""
        received[callback.data["msgId"]] = time.time()
        return AckMessage.STATUS_OK, "OK"


def on_sigterm(*_: object) -> None:
    Path(sys.argv[3]).write_text(json.dumps(received))
    os._exit(0)


signal.signal(signal.SIGTERM, on_sigterm)
url, app = sys.argv[1:3]
dingtalk_stream.DingTalkStreamClient.OPEN_CONNECTION_API = f"{url}/v1.0/gateway/connections/open"
client = dingtalk_stream.DingTalkStreamClient(dingtalk_stream.Credential(app, f"secret-of-{app}"))
client.register_callback_handler(dingtalk_stream.ChatbotMessage.TOPIC, Robot())
client.start_forever()
