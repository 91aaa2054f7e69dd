"""A hundred thousand commands an hour: from the client's call to the request that the platform sees.

Four Lark apps, ten chats each, 28 commands a second in an even stream, for a minute each for Longwire and the
plain SDK, twice in turn; `LONGWIRE_SENDING_S=600` takes ten minutes for each of them, once.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import Mapping

import msgspec

from bench.rows import Row, Target, spread
from bench.stage import PROGRAMS, Bench, Stage, staged
from harness.longwire import lark
from harness.processes import Program
from harness.simulator import Simulator
from longwire import Client

_APPS = 4
_CHATS = 40
_RATE_PER_S = 28.0
_HOUR_S = 3600.0
_LONG_S = 600.0
"""So long a round needs no second one to be believed."""
_WARM_UP = 20
"""Commands to each account before those that count: the first imports, connects and fetches a token."""
_CALL_S = 30.0
_TARGET = Target("<= 3 ms", "<= 15 ms")
_NOTE = (
    "call of message.create to the platform's request; baseline: a thread with plain lark-oapi's "
    "client.im.v1.message.create for each app, nothing durable"
)


class Sent(msgspec.Struct, frozen=True):
    """What came of one round."""

    took_ms: list[float]
    """From each call to its request."""
    per_hour: float
    """Commands that reached the platform, at the rate of the round."""


async def measure(bench: Bench) -> list[Row]:
    """Send through Longwire and through the plain SDK in turn, so that noise hits both."""
    for_s = float(os.environ.get("LONGWIRE_SENDING_S", bench.pick(15, 60)))
    async with staged(bench, lambda url: {_account(n): lark(url, f"cli_{n}") for n in range(_APPS)}) as stage:
        await stage.longwire.start()
        await stage.longwire.until_online()
        await _warm_up(stage.longwire.client)
        gc.freeze()  # all that the tables and plots have imported: a full round over it takes 20 ms
        ours: list[Sent] = []
        theirs: list[Sent] = []
        for number in range(1 if for_s >= _LONG_S else 2):
            begun = await _steadily(stage.longwire.client, number=number, for_s=for_s)
            ours.append(await _outcome(stage.simulator, begun, prefix="cli_", for_s=for_s))
            begun = await _plain(stage, number=number, for_s=for_s)
            theirs.append(await _outcome(stage.simulator, begun, prefix="cli_plain", for_s=for_s))
    name = f"Lark command to platform request, {_CHATS} chats of {_APPS} apps, {_RATE_PER_S:g}/s"
    return [
        *spread(
            name,
            [ms for sent in ours for ms in sent.took_ms],
            tail=99,
            unit="ms",
            target=_TARGET,
            baseline=[ms for sent in theirs for ms in sent.took_ms],
            note=_NOTE,
        ),
        Row(
            name=f"Lark commands an hour, sustained for {for_s:g} s",
            value=min(sent.per_hour for sent in ours),
            unit="/h",
            baseline=min(sent.per_hour for sent in theirs),
            target=">= 100,000/h",
            note="what reached the platform, in the lesser round; the rate was given",
        ),
    ]


def _account(number: int) -> str:
    return f"bot{number}"


async def _warm_up(client: Client) -> None:
    for number in range(_WARM_UP):
        text = f"warm-up {number}"
        await asyncio.gather(*(client.send(_account(n), "oc_0", text=text) for n in range(_APPS)))


async def _steadily(client: Client, *, number: int, for_s: float) -> dict[str, float]:
    """Begin a command each 1/28 s, whatever becomes of those before; return when which text was sent."""
    begun: dict[str, float] = {}
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def send(command: int) -> None:
        text = f"ours {number} {command}"
        begun[text] = time.time()
        chat = f"oc_{command // _APPS % (_CHATS // _APPS)}"
        await client.send(_account(command % _APPS), chat, text=text)

    async with asyncio.timeout(for_s + _CALL_S), asyncio.TaskGroup() as tasks:
        for command in range(round(for_s * _RATE_PER_S)):
            await asyncio.sleep(start + command / _RATE_PER_S - loop.time())
            tasks.create_task(send(command), name=f"command {command}")
    return begun


async def _plain(stage: Stage, *, number: int, for_s: float) -> dict[str, float]:
    report = stage.folder / f"plain{number}.json"
    script = str(PROGRAMS / "plain_sender.py")
    how = map(str, (_APPS, _CHATS, _RATE_PER_S, for_s))
    command = [sys.executable, script, stage.simulator.url, str(report), *how]
    program = await Program.start(command, output=report.with_suffix(".log"))
    try:
        code = await program.ended(deadline_s=for_s + 120.0)
    finally:
        if program.returncode is None:
            await program.kill()
    assert code == 0, program.text()[-2000:]
    return msgspec.json.decode(report.read_bytes(), type=dict[str, float])


async def _outcome(simulator: Simulator, begun: Mapping[str, float], *, prefix: str, for_s: float) -> Sent:
    """Return when the requests of this round came: all that were sent, and each once."""
    wanted = {text: at for text, at in begun.items() if not text.startswith("warm-up")}
    since, seen = min(wanted.values()), dict[str, float]()
    for number in range(_APPS):
        for message in (await simulator.app_state("lark", f"{prefix}{number}")).messages:
            text = msgspec.json.decode(str(message.body["content"]))["text"]
            if text in wanted and message.at >= since:  # texts of the plain SDK come in each round
                assert text not in seen, f"twice: {text}"
                seen[text] = message.at
    assert seen.keys() == wanted.keys(), f"{len(wanted.keys() - seen.keys())} never came"
    took_s = max(for_s, max(seen.values()) - since)
    return Sent([(at - wanted[text]) * 1000 for text, at in seen.items()], len(seen) / took_s * _HOUR_S)
