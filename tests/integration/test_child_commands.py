"""Commands in a child: what is slow, and promised to nobody, leaves room for what has to be carried out."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from longwire_connectors.base import Connector
from longwire_connectors.commands import Commands
from longwire_protocol.errors import RetCode
from longwire_protocol.frames import Command, CommandResult


class Slow:
    """Never comes to an end."""

    async def call(self, method: str, params: dict[str, Any], *, key: str | None = None) -> Any:
        del method, params, key
        await asyncio.Event().wait()


async def test_slow_downloads_leave_room_for_what_the_outbox_carries_out() -> None:
    told: list[CommandResult] = []
    async with asyncio.TaskGroup() as tasks:
        commands = Commands(tasks, lambda: cast("Connector", Slow()), told.append)
        for number in range(70):
            commands.begin(Command(number, "media.download", {}, deadline_s=30.0))
        assert [(result.id, result.retcode) for result in told] == [
            (number, RetCode.SATURATED) for number in range(64, 70)
        ]
        told.clear()
        for number in range(100, 165):
            commands.begin(Command(number, "message.create", {}, deadline_s=30.0, key="receipt"))
        assert [(result.id, result.retcode) for result in told] == [(164, RetCode.SATURATED)]
        told.clear()
        commands.begin(Command(200, "card.respond", {}, deadline_s=30.0))
        assert not told
        commands.cancel()
