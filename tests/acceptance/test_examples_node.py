"""The Node.js example, against a live supervisor and the simulators."""

from __future__ import annotations

import shutil
from pathlib import Path

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
from harness.simulator import Simulator

NODE, NPM = shutil.which("node"), shutil.which("npm")

pytestmark = [
    pytest.mark.skipif(
        NODE is None or NPM is None, reason="the Node.js example needs node and npm on the PATH"
    ),
    pytest.mark.timeout(300),  # for a registry's bad days
]


@pytest.fixture
async def example(tmp_path: Path) -> Path:
    """A copy of the example with its dependencies, as its first line says: 4 s, most of it the registry's."""
    folder = tmp_path / "node"
    folder.mkdir()
    for name in ("package.json", "package-lock.json", "index.mjs"):
        shutil.copy(EXAMPLES / "node" / name, folder)
    npm = [str(NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    installing = await Program.start(npm, output=tmp_path / "npm.log", cwd=folder)
    assert await installing.ended(deadline_s=200) == 0, installing.text()
    return folder


async def run(longwire: Longwire, folder: Path) -> Program:
    command = [str(NODE), str(folder / "index.mjs")]
    return await Program.start(command, output=folder / "bot.log", env=environment(longwire), cwd=folder)


async def test_a_node_client_answers_on_both_platforms_and_misses_nothing_whatever_is_restarted(
    simulator: Simulator, longwire: Longwire, example: Path
) -> None:
    longwire.configure(two_accounts(simulator.url))
    await longwire.start()
    await longwire.until_online()
    bot = await run(longwire, example)
    await until_subscribed(longwire.client, "echo-node")
    await say(simulator, "one")
    await until_answered(simulator, "echo: one")
    assert (await bot.stop())[0] == 0, bot.text()
    await say(simulator, "two")  # kept for it
    bot = await run(longwire, example)
    await until_answered(simulator, "echo: one", "echo: two")
    assert [len(sent) for sent in await answers(simulator)] == [2, 2]  # each once
    await longwire.kill()
    await longwire.start()
    await longwire.until_online()
    await until_subscribed(longwire.client, "echo-node")
    await say(simulator, "three")
    await until_answered(simulator, "echo: one", "echo: two", "echo: three")
    assert (await bot.stop())[0] == 0, bot.text()
