"""The example in plain code, against a live supervisor and the simulators."""

from __future__ import annotations

import sys

from harness.examples import (
    EXAMPLES,
    answers,
    environment,
    say,
    two_accounts,
    until_answered,
    until_subscribed,
)
from harness.longwire import Longwire
from harness.processes import Program
from harness.simulator import Simulator


async def run(longwire: Longwire) -> Program:
    command = [sys.executable, str(EXAMPLES / "sync_bot.py")]
    return await Program.start(command, output=longwire.folder / "bot.log", env=environment(longwire))


async def test_the_sync_bot_answers_on_both_platforms_each_message_once_and_ends_when_told(
    simulator: Simulator, longwire: Longwire
) -> None:
    longwire.configure(two_accounts(simulator.url))
    await longwire.start()
    await longwire.until_online()
    bot = await run(longwire)
    await until_subscribed(longwire.client, "sync-echo")
    await say(simulator, "one")
    await until_answered(simulator, "echo: one")
    await bot.kill()  # perhaps before its acks: then the events come again, and not the answers
    await say(simulator, "two")
    bot = await run(longwire)
    await until_answered(simulator, "echo: one", "echo: two")
    code, _ = await bot.stop()
    assert (code, bot.text()) == (0, "")
    assert [len(sent) for sent in await answers(simulator)] == [2, 2]
