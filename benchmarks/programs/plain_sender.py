"""Send messages with plain lark-oapi: `plain_sender.py URL REPORT APPS CHATS RATE_PER_S FOR_S`.

One thread and one SDK client for each app, as the SDK's call blocks. REPORT gets, as JSON, when the call for
which text was begun.
"""

import json
import sys
import threading
import time
from pathlib import Path

import lark_oapi as lark
from lark_oapi.api.im.v1 import CreateMessageRequest, CreateMessageRequestBody

url, report = sys.argv[1:3]
apps, chats = map(int, sys.argv[3:5])
rate_per_s, for_s = map(float, sys.argv[5:7])
begun: dict[str, float] = {}


def send(client: lark.Client, *, chat: str, text: str) -> None:
    content = json.dumps({"text": text})
    body = CreateMessageRequestBody.builder().receive_id(chat).msg_type("text").content(content).build()
    request = CreateMessageRequest.builder().receive_id_type("chat_id").request_body(body).build()
    begun[text] = time.time()
    answer = client.im.v1.message.create(request)
    assert answer.success(), answer.msg


def work(app: int) -> None:
    name = f"cli_plain{app}"
    client = lark.Client.builder().app_id(name).app_secret(f"secret-of-{name}").domain(url).build()
    send(client, chat="oc_0", text=f"warm-up {app}")  # fetches the token, imports, compiles
    start = time.monotonic() + app / rate_per_s
    for number in range(round(for_s * rate_per_s / apps)):
        time.sleep(max(0.0, start + number * apps / rate_per_s - time.monotonic()))
        send(client, chat=f"oc_{number % (chats // apps)}", text=f"plain {app} {number}")


threads = [threading.Thread(target=work, args=(app,)) for app in range(apps)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
Path(report).write_text(json.dumps(begun))
