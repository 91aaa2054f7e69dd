"""The example whose answers grow in a card, against a live supervisor and the simulators."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from harness.longwire import Longwire, dingtalk, lark
from harness.processes import Program
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.injections import DingTalkEvent, LarkEvent

BOT = Path(__file__).parents[2] / "examples" / "streaming_reply" / "bot.py"
APP = "cli_0123456789abcdef"


async def calls(simulator: Simulator, name: str) -> list[dict[str, Any]]:
    """Return what was sent to the simulator by calls of this name, in their order."""
    state = await simulator.app_state("lark", APP)
    return [dict(one.body) for one in state.api_calls if one.call == name]


async def test_the_streaming_bot_lets_its_answer_grow_in_one_card_also_over_its_own_death(
    simulator: Simulator, longwire: Longwire
) -> None:
    longwire.configure({"bot": lark(simulator.url, APP)})
    await longwire.start()
    await longwire.until_online()
    environment = {"LONGWIRE_ENDPOINT": longwire.endpoint, "PAUSE_S": "0.2"}

    async def run() -> Program:
        return await Program.start(
            [sys.executable, str(BOT)], output=longwire.folder / "bot.log", env=environment
        )

    async def is_subscribed() -> bool:
        status = await longwire.client.call("status")
        return any(one["name"] == "streaming-reply" for one in status["subscriptions"])

    async def has_begun() -> bool:
        return len(await calls(simulator, "card_text")) >= 2

    async def is_whole() -> bool:
        shown = await calls(simulator, "card_text")
        return bool(shown) and "word by word." in str(shown[-1]["content"])

    bot = await run()
    await until(is_subscribed, what="the bot is there")
    await simulator.inject_lark(LarkEvent(app=APP, text="why?"))
    await until(has_begun, what="the answer grows")
    await bot.kill()
    bot = await run()
    await until(is_whole, what="the answer is whole")
    shown = [str(body["content"]) for body in await calls(simulator, "card_text")]
    assert "«why?»" in shown[-1]
    assert len(set(shown)) > 3, "it grew"
    assert len((await simulator.app_state("lark", APP)).messages) == 1, "one card"
    code, _ = await bot.stop()
    assert (code, bot.text()) == (0, "")


async def test_the_streaming_bot_answers_in_a_card_of_dingtalk_too(
    simulator: Simulator, longwire: Longwire
) -> None:
    longwire.configure({"bot": dingtalk(simulator.url, "ding")})
    await longwire.start()
    await longwire.until_online()
    environment = {"LONGWIRE_ENDPOINT": longwire.endpoint, "PAUSE_S": "0.05"}
    bot = await Program.start([sys.executable, str(BOT)], output=longwire.folder / "bot.log", env=environment)

    async def is_subscribed() -> bool:
        status = await longwire.client.call("status")
        return any(one["name"] == "streaming-reply" for one in status["subscriptions"])

    async def are_whole() -> bool:
        state = await simulator.app_state("dingtalk", "ding")
        return sum("word by word." in str(card) for card in state.cards.values()) == 2

    await until(is_subscribed, what="the bot is there")
    await simulator.inject_dingtalk(DingTalkEvent(app="ding", conversation="cid1=="))
    await simulator.inject_dingtalk(DingTalkEvent(app="ding", conversation="cid2==", conversation_type="2"))
    await until(are_whole, what="the answers are whole, in private and in the group")
    code, _ = await bot.stop()
    assert (code, bot.text()) == (0, "")
