"""Clients that lose their connection, or stand still, while the supervisor lives on."""

from __future__ import annotations

import asyncio
import json
import signal
import sys

import pytest

from harness.longwire import Longwire, lark
from harness.processes import Program
from harness.relay import relay
from harness.simulator import Simulator
from harness.waiting import DEADLINE_S, until
from longwire import Client, SupervisorUnreachable
from longwire_connectors.simulator.fault_kinds import Slow

APP = "cli_00000000000000aa"
STOPPED_S = 40.0
"""Longer than the 30 s after which the supervisor ends a silent connection."""

SENDER = """
import sys
from longwire import SyncClient

with SyncClient(sys.argv[1], connect_timeout_s=60) as client:
    answer = client.send("bot", "oc_1", "hello", idempotency_key="k", deadline_s=20)
    print(answer["message_id"], flush=True)
"""


async def texts(simulator: Simulator) -> list[str]:
    state = await simulator.app_state("lark", APP)
    bodies: list[dict[str, str]] = [message.body for message in state.messages]
    return [json.loads(body["content"])["text"] for body in bodies]


async def until_sent(simulator: Simulator, count: int) -> None:
    async def is_there() -> bool:
        return len(await texts(simulator)) >= count

    await until(is_there, what=f"the platform has {count} messages")


async def test_a_command_whose_answer_is_lost_with_the_connection_has_one_effect_and_that_answer(
    simulator: Simulator, longwire: Longwire
) -> None:
    longwire.configure({"bot": lark(simulator.url, APP)})
    await longwire.start()
    await longwire.until_online()
    async with (
        relay(longwire.folder, longwire.endpoint) as wire,
        Client(wire.endpoint, connect_timeout_s=DEADLINE_S) as client,
        asyncio.timeout(DEADLINE_S),
    ):
        wire.is_deaf = True
        call = asyncio.create_task(
            client.send("bot", "oc_1", "once", idempotency_key="k", deadline_s=DEADLINE_S), name="with a key"
        )
        lost = asyncio.create_task(client.send("bot", "oc_2", "who knows"), name="without a key")
        await until_sent(simulator, 2)
        wire.cut()
        wire.is_deaf = False
        with pytest.raises(SupervisorUnreachable, match="the connection was lost"):
            await lost
        answer = await call
        assert answer == await longwire.client.send("bot", "oc_1", "once", idempotency_key="k")
    assert sorted(await texts(simulator)) == ["once", "who knows"]


@pytest.mark.soak
async def test_a_client_that_was_stopped_for_long_hears_what_became_of_its_command(
    simulator: Simulator, longwire: Longwire
) -> None:
    """The supervisor has ended the connection meanwhile, and the command's deadline is over."""
    longwire.configure({"bot": lark(simulator.url, APP)})
    await longwire.start()
    await longwire.until_online()
    await simulator.fault(Slow(platform="lark", step="api", delay_s=3.0))
    command = [sys.executable, "-c", SENDER, longwire.endpoint]
    program = await Program.start(command, output=longwire.folder / "sender.log", cwd=longwire.folder)

    async def is_under_way() -> bool:
        return bool((await longwire.status())["supervisor"]["outbox"]["under_way"])

    await until(is_under_way, what="the supervisor has its command")
    program.send(signal.SIGSTOP)
    await asyncio.sleep(STOPPED_S)
    program.send(signal.SIGCONT)
    assert await program.ended(deadline_s=DEADLINE_S) == 0, program.text()
    state = await simulator.app_state("lark", APP)
    assert [message.message_id for message in state.messages] == program.text().split()
