"""A client from `docs/protocol.md` alone: any language with ZeroMQ and MessagePack can do the same.

python examples/raw_client.py ipc://var/longwire.sock ACCOUNT CHAT TEXT [EVENTS]

Its subscription is durable: what it does not acknowledge is kept for it. `longwire events forget raw-client`
ends that.
"""

import sys

import zmq
from msgspec.msgpack import decode, encode

endpoint, account, chat, text = sys.argv[1:5]
wanted = int(sys.argv[5]) if len(sys.argv) > 5 else 1
socket = zmq.Context().socket(zmq.DEALER)
socket.connect(endpoint)


def say(kind: str, **fields: object) -> None:
    socket.send(encode({"kind": kind, **fields}))


params = {"name": "raw-client", "start": "all", "types": ["message.created"], "credit": 10}
say("request", id="sub", method="events.subscribe", params=params)
say("request", id="msg", method="message.create", account=account, params={"chat": chat, "text": text})
answered = False
while wanted > 0 or not answered:
    frame = decode(socket.recv())
    if frame["kind"] == "ping":
        say("pong", id=frame.get("id"))
    elif frame["kind"] == "reply" and frame["id"] == "msg":
        print("sent" if frame["status"] == "ok" else frame["message"], frame["data"], flush=True)
        answered = True
    elif frame["kind"] == "events":
        for event in frame["events"]:
            print(event["seq"], event["account"], event.get("text"), flush=True)
        say("ack", subscription="raw-client", seqs=[event["seq"] for event in frame["events"]])
        say("credit", subscription="raw-client", n=len(frame["events"]))
        wanted -= len(frame["events"])
