"""A web service that is called with events, checks who calls, and answers a message in its answer.

    pip install fastapi uvicorn standardwebhooks
    WEBHOOK_SECRET=whsec_... uvicorn --app-dir examples/webhook_receiver receiver:app --port 8100

And in `longwire.toml`, with the same secret in the supervisor's environment:

    [webhooks.desk]
    url = "http://127.0.0.1:8100/events"
    types = ["message.created"]
    secret = "env:WEBHOOK_SECRET"
    allow_http = true       # for a service on this machine only
    allow_private = true
"""

import os
from collections import OrderedDict
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from standardwebhooks import Webhook, WebhookVerificationError

SECRET = Webhook(os.environ["WEBHOOK_SECRET"])

MAX_KNOWN = 100_000
"""An event comes again where our answer was lost; hardly ever after so many others."""

app = FastAPI()
known: OrderedDict[str, dict[str, Any]] = OrderedDict()
"""What was answered to which `webhook-id`; yours belongs into the database that has the effect, too."""


@app.post("/events")
async def take(request: Request) -> dict[str, Any]:
    """Take an event: 200 says that it is done, anything else that it shall come again."""
    try:
        event = SECRET.verify(await request.body(), dict(request.headers))
    except WebhookVerificationError as error:
        raise HTTPException(401, "the signature is not ours") from error
    identity = request.headers["webhook-id"]
    if identity not in known:
        known[identity] = handle(event)
        if len(known) > MAX_KNOWN:
            known.popitem(last=False)
    return known[identity]


def handle(event: dict[str, Any]) -> dict[str, Any]:
    """Do what the event asks for; what is returned is sent by the bot that heard it."""
    print(f"{event['account']}: {event.get('text')}", flush=True)
    return {"reply": {"text": f"received: {event.get('text')}"}}
