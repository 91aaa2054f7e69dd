"""Commands in a child: what is slow, and promised to nobody, leaves room for what has to be carried out."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, cast

from longwire_connectors.base import Connector
from longwire_connectors.commands import Commands
from longwire_protocol.errors import RetCode
from longwire_protocol.frames import Command, CommandResult


async def test_a_command_that_comes_while_the_process_ends_is_refused() -> None:
    told: list[CommandResult] = []
    async with asyncio.TaskGroup() as tasks:
        commands = Commands(tasks, lambda: cast("Connector", Slow()), told.append)
        commands.cancel()
        commands.begin(Command(1, "message.create", {}, deadline_s=30.0))
    assert [result.retcode for result in told] == [RetCode.ACCOUNT_NOT_ONLINE]


class Slow:
    """Never comes to an end."""

    async def call(self, method: str, params: dict[str, Any], *, key: str | None = None) -> Any:
        del method, params, key
        await asyncio.Event().wait()


async def test_slow_commands_of_a_kind_leave_room_for_the_others() -> None:
    told: list[CommandResult] = []
    numbers = itertools.count(1)

    def refused(method: str, many: int, *, key: str | None = None) -> int:
        """Return how many of these were refused."""
        told.clear()
        for _ in range(many):
            commands.begin(Command(next(numbers), method, {}, deadline_s=30.0, key=key))
        assert {result.retcode for result in told} <= {RetCode.SATURATED}
        return len(told)

    async with asyncio.TaskGroup() as tasks:
        commands = Commands(tasks, lambda: cast("Connector", Slow()), told.append)
        assert refused("media.download", 40) == 8
        assert refused("platform.call", 40) == 8
        assert refused("message.create", 65, key="receipt") == 1
        assert refused("card.respond", 1) == 0
        commands.cancel()
