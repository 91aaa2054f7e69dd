"""The example of a web service that is called with events, as its own document says to run it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import aiohttp

from harness.examples import LARK
from harness.longwire import Longwire, lark
from harness.processes import Program
from harness.simulator import Simulator
from harness.waiting import until
from harness.webhooks import SECRET, webhook
from longwire_connectors.simulator.injections import LarkEvent

FOLDER = Path(__file__).parents[2] / "examples" / "webhook_receiver"
ENV = {"WEBHOOK_SECRET": SECRET}


async def receiver(folder: Path, port: int = 0) -> tuple[Program, int]:
    """Start it; return it and the port it listens at."""
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(FOLDER), "receiver:app", "--port", str(port)]
    output = folder / "receiver.log"
    before = output.read_text().count("running on") if output.exists() else 0
    program = await Program.start(command, output=output, env=ENV, cwd=folder)

    async def announced() -> list[str]:
        assert program.returncode is None, program.text()
        return re.findall(r"running on http://127\.0\.0\.1:(\d+)", program.text())[before:]

    (found,) = await until(announced, what="the receiver listens")
    return program, int(found)


async def test_the_receiver_answers_each_message_once_also_when_it_was_away(
    simulator: Simulator, longwire: Longwire, tmp_path: Path
) -> None:
    program, port = await receiver(tmp_path)
    url = f"http://127.0.0.1:{port}/events"
    table = webhook(url, types=["message.created"], secret="env:WEBHOOK_SECRET")
    longwire.configure({"acme-lark": lark(simulator.url, LARK)}, webhooks={"desk": table})
    await longwire.start(env=ENV)
    await longwire.until_online()
    await simulator.inject_lark(LarkEvent(app=LARK, chat="oc_1", text="hello"))
    await until_sent(simulator, "received: hello")
    async with aiohttp.ClientSession() as http, http.post(url, json={"text": "not signed"}) as answer:
        assert answer.status == 401
    await program.stop()
    await simulator.inject_lark(LarkEvent(app=LARK, chat="oc_1", text="anybody there?"))
    program, _ = await receiver(tmp_path, port)
    await until_sent(simulator, "received: hello", "received: anybody there?")
    await program.stop()
    assert "Traceback" not in program.text()


async def until_sent(simulator: Simulator, *texts: str) -> None:
    """Wait until the bot has sent these, each once, and nothing else."""

    async def sent() -> list[str]:
        messages = (await simulator.app_state("lark", LARK)).messages
        return [text for text in texts if any(text in str(message.body) for message in messages)]

    async def all_sent() -> bool:
        return await sent() == list(texts)

    await until(all_sent, what=f"{texts} are sent")
    assert len((await simulator.app_state("lark", LARK)).messages) == len(texts)
