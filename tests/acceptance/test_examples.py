"""The Python examples, against a live supervisor and the simulators."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from harness.examples import (
    EXAMPLES,
    LARK,
    answers,
    environment,
    say,
    two_accounts,
    until_answered,
    until_subscribed,
)
from harness.longwire import Longwire
from harness.processes import Program, is_alive
from harness.simulator import Simulator
from harness.waiting import until
from longwire import Client
from longwire_connectors.simulator.counters import AppState
from longwire_connectors.simulator.fault_kinds import ApiError, Slow
from longwire_connectors.simulator.injections import LarkEvent


async def start(longwire: Longwire, simulator: Simulator) -> None:
    longwire.configure(two_accounts(simulator.url))
    await longwire.start()
    await longwire.until_online()


async def run(longwire: Longwire, script: str) -> Program:
    command = [sys.executable, str(EXAMPLES / script)]
    return await Program.start(command, output=longwire.folder / "bot.log", env=environment(longwire))


async def test_the_echo_bot_answers_each_message_once_on_both_platforms_also_when_killed(
    simulator: Simulator, longwire: Longwire
) -> None:
    await start(longwire, simulator)
    bot = await run(longwire, "echo_bot.py")
    await until_subscribed(longwire.client, "echo")
    await say(simulator, "one")
    await until_answered(simulator, "echo: one")
    await bot.kill()
    await say(simulator, "two")
    bot = await run(longwire, "echo_bot.py")
    await until_answered(simulator, "echo: one", "echo: two")
    assert (await bot.stop())[0] == 0, bot.text()
    assert [len(sent) for sent in await answers(simulator)] == [2, 2]  # each once


async def test_the_echo_bot_comes_back_to_a_message_that_the_platform_refused_for_now(
    simulator: Simulator, longwire: Longwire
) -> None:
    await start(longwire, simulator)
    bot = await run(longwire, "echo_bot.py")
    await until_subscribed(longwire.client, "echo")
    await simulator.fault(ApiError(platform="lark", call="send", status=429, code=99991400, times=1))
    await say(simulator, "busy")
    await until_answered(simulator, "echo: busy")
    assert (await simulator.app_state("lark", LARK)).api_errors == 1
    assert (await bot.stop())[0] == 0, bot.text()


async def test_two_consumers_under_honcho_share_the_work_and_keep_each_chat_in_order(
    simulator: Simulator, tmp_path: Path
) -> None:
    longwire = Longwire(tmp_path)
    longwire.configure(two_accounts(simulator.url))
    procfile = str(EXAMPLES / "two_consumers" / "Procfile")
    command = [sys.executable, "-m", "honcho", "-f", procfile, "-d", str(EXAMPLES.parent), "start"]
    honcho = await Program.start(command, output=tmp_path / "honcho.log", env=environment(longwire))

    async def is_connected() -> bool:
        state = await simulator.state()
        apps: list[AppState] = [*state.lark.values(), *state.dingtalk.values()]
        return len(apps) == 2 and all(app.connections_open for app in apps)

    async with Client(longwire.endpoint, connect_timeout_s=40) as client:
        await until_subscribed(client, "desk", clients=2)
    await until(is_connected, what="both accounts are connected")
    # While the first answers take their time, there is work for both.
    await simulator.fault(Slow(platform="lark", step="api", delay_s=1.0, times=3))
    chats = 8
    for chat in range(chats):
        await simulator.inject_lark(
            LarkEvent(app=LARK, chat=f"oc_{chat}", text=f"chat {chat}: {{n}}", count=5)
        )

    async def all_answered() -> bool:
        return len((await answers(simulator))[0]) >= 5 * chats

    await until(all_answered, what="every message is answered")
    below = [process.pid for process in honcho.descendants()]
    os.killpg(honcho.pid, signal.SIGINT)
    await honcho.ended()
    assert not [pid for pid in below if is_alive(pid)]
    sent = [answer.split(" here: ") for answer in (await answers(simulator))[0]]
    assert {who for who, _ in sent} == {"one", "two"}
    for chat in range(chats):
        said = [text for _, text in sent if text.startswith(f"chat {chat}:")]
        assert said == [f"chat {chat}: {n}" for n in range(5)]
