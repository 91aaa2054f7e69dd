"""Frames that no client should have to see: not JSON, not objects, without ids, in parts that do not fit."""

from __future__ import annotations

import random

from chaos.books import SPOILT
from longwire_connectors.simulator.injections import DingTalkEvent, LarkEvent

_TEXTS = ["not json", "[1, 2]", "null", "", "{}", '{"schema": "2.0"}', "\x00\xff", "[" * 2_000]


def lark_frame(app: str, rng: random.Random) -> LarkEvent:
    """Return a frame of Lark that cannot be an event, or not all of one."""
    identity = f"{SPOILT}{rng.getrandbits(64):x}"
    ways = [
        LarkEvent(app=app, kind="raw", raw_text=rng.choice(_TEXTS), is_redelivered=False),
        LarkEvent(app=app, message_id=identity, parts=3, missing_part=1, is_redelivered=False),
        LarkEvent(app=app, message_id=identity, parts=2, declared_sum=1, is_redelivered=False),
        LarkEvent(app=app, message_id=identity, omitted_headers=["message_id"], is_redelivered=False),
        LarkEvent(app=app, message_id=identity, omitted_headers=["type", "sum"], is_redelivered=False),
        LarkEvent(app=app, message_id=identity, content="not json", is_redelivered=False),
    ]
    return rng.choice(ways)


def dingtalk_frame(app: str, rng: random.Random) -> DingTalkEvent:
    """Return a frame of DingTalk that cannot be an event, or that is none of its kinds."""
    identity = f"{SPOILT}{rng.getrandbits(64):x}"
    ways = [
        DingTalkEvent(app=app, kind="raw", raw_text=rng.choice(_TEXTS)),
        DingTalkEvent(app=app, kind="message", message_id=identity, topic="/v1.0/no/such/topic"),
        DingTalkEvent(app=app, kind="message", message_id=identity, omitted_fields=["msgId"]),
        DingTalkEvent(app=app, kind="message", message_id=identity, omitted_fields=["conversationId"]),
        DingTalkEvent(app=app, kind="ping"),
    ]
    return rng.choice(ways)
