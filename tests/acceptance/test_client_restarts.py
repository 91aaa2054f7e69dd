"""What becomes of open calls when the supervisor is ended by SIGKILL and started again."""

from __future__ import annotations

import asyncio
import signal

import pytest

from harness.longwire import Longwire
from harness.waiting import DEADLINE_S, until
from longwire import Client, SupervisorUnreachable, SyncClient

NEW = {"connector": "loopback"}


def sent_by(client: Client) -> list[object]:
    """Return the calls that are out of the client's hands."""
    return list(client._calls._sent.values())


async def test_calls_with_a_key_are_answered_by_the_next_supervisor_and_one_without_is_told(
    longwire: Longwire,
) -> None:
    """Both clients, with calls that a supervisor had taken and not answered when it was killed."""
    longwire.configure({})
    await longwire.start()
    blocking = SyncClient(longwire.endpoint, connect_timeout_s=DEADLINE_S)
    await asyncio.to_thread(blocking.call, "hello")
    async with (
        Client(longwire.endpoint, connect_timeout_s=DEADLINE_S) as client,
        asyncio.TaskGroup() as tasks,
    ):
        longwire.program.send(signal.SIGSTOP)
        add = {"idempotency_key": "k", "deadline_s": 100}
        one = tasks.create_task(client.call("account.add", {"account": "one", "config": NEW}, **add))
        two = tasks.create_task(
            asyncio.to_thread(blocking.call, "account.add", {"account": "two", "config": NEW}, **add)
        )
        lost = asyncio.create_task(client.call("status", deadline_s=100), name="without a key")

        async def are_sent() -> bool:
            return len(sent_by(client)) == 2 and len(sent_by(blocking.session._opened.result())) == 1

        await until(are_sent, what="all are sent")
        await longwire.kill()
        await longwire.start()
        with pytest.raises(SupervisorUnreachable, match="not known"):
            await lost
        async with asyncio.timeout(DEADLINE_S):
            assert (await one)["added"] == ["one"]
            assert (await two)["added"] == ["two"]
    assert {account["account"] for account in (await longwire.status())["accounts"]} == {"one", "two"}
    await asyncio.to_thread(blocking.close)
