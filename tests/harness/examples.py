"""The programs of `examples/`, run as a newcomer runs them, and what came of it at the simulators."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.longwire import Longwire, dingtalk, lark
from harness.simulator import Simulator
from harness.waiting import until
from longwire import Client
from longwire_connectors.simulator.injections import DingTalkEvent, LarkEvent

EXAMPLES = Path(__file__).parents[2] / "examples"
LARK, DING = "cli_0123456789abcdef", "dingacme"


def two_accounts(url: str) -> dict[str, dict[str, Any]]:
    """Return the accounts of `examples/longwire.toml`, on this simulator."""
    return {"acme-lark": lark(url, LARK), "acme-ding": dingtalk(url, DING)}


def environment(longwire: Longwire) -> Mapping[str, str]:
    """Return what the examples are told by their environment."""
    return {
        "LONGWIRE_CONFIG": str(longwire.config),
        "LONGWIRE_ENDPOINT": longwire.endpoint,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


async def say(simulator: Simulator, text: str, *, chat: str = "1", count: int = 1) -> None:
    """Let a user of each platform write something to the bot, `count` times; `{n}` in it is the number."""
    await simulator.inject_lark(LarkEvent(app=LARK, chat=f"oc_{chat}", text=text, count=count))
    await simulator.inject_dingtalk(
        DingTalkEvent(app=DING, conversation=f"cid{chat}==", text=text, count=count)
    )


async def answers(simulator: Simulator) -> tuple[list[str], list[str]]:
    """Return the texts that the bot wrote on Lark and on DingTalk, in their order."""
    state = await simulator.state()
    on_lark: list[Any] = [message.body for message in state.lark[LARK].messages]
    on_ding: list[Any] = [message.body for message in state.dingtalk[DING].messages]
    return (
        [json.loads(body["content"])["text"] for body in on_lark],
        [_text_on_dingtalk(body) for body in on_ding],
    )


async def until_answered(simulator: Simulator, *texts: str) -> None:
    """Wait until both platforms have had these answers, each at least once, and no others."""

    async def has_all() -> bool:
        return all(set(texts) <= set(sent) for sent in await answers(simulator))

    await until(has_all, what=f"both platforms had the answers {texts}")
    for sent in await answers(simulator):
        assert set(sent) == set(texts), Counter(sent)


async def until_subscribed(client: Client, name: str, *, clients: int = 1) -> None:
    """Wait until so many clients have a subscription open."""

    async def is_open() -> bool:
        status: dict[str, Any] = await client.call("status")
        found = [it for it in status["subscriptions"] if it["name"] == name]
        return bool(found) and found[0]["clients"] == clients

    await until(is_open, what=f"{clients} read {name!r}")


def _text_on_dingtalk(body: Any) -> str:
    """Return what was sent by a session webhook, or by the OpenAPI: a new process has no webhook yet."""
    if "text" in body:
        return str(body["text"]["content"])
    return str(json.loads(body["msgParam"])["content"])
