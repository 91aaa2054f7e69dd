"""What a child was told to do on its platform and has not answered.

Each inquiry is answered exactly once: by the child, by its end, or by the deadline; always in a turn of the
loop of its own, as whoever reads a socket must not be held up, nor fail, by what an answer leads to. There is
no task and no future for one: a burst to a hundred accounts is a hundred of them at once.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

from longwire_protocol.deadlines import Deadlines
from longwire_protocol.errors import RetCode
from longwire_protocol.frames import Command, CommandResult

_LEAST_DEADLINE_S = 0.05

_ANSWER_S = 1.0
"""Beyond a command's deadline: the child's own answer to it is the better one."""

Done = Callable[[CommandResult], None]


class Inquiries:
    """The open commands of one child. Made on the loop that runs it.

    Args:
        tell: sends a frame to the child; returns whether it is on its way.
        drain: reads what the children have said and nobody has read yet.
    """

    def __init__(self, tell: Callable[[Command], bool], drain: Callable[[], None]) -> None:
        self._tell = tell
        self._drain = drain
        self._loop = asyncio.get_running_loop()
        self._ids = itertools.count(1)
        self._open: dict[int, Done] = {}
        self._deadlines = Deadlines[int](self._overdue)

    def begin(
        self, method: str, params: dict[str, Any], done: Done, *, deadline_s: float, key: str | None
    ) -> None:
        """Tell the child; `done` gets the answer, after this has returned."""
        number = next(self._ids)
        deadline_s = max(deadline_s, _LEAST_DEADLINE_S)
        if self._tell(Command(id=number, method=method, params=params, deadline_s=deadline_s, key=key)):
            self._deadlines.set(number, deadline_s + _ANSWER_S)
            self._open[number] = done
        else:
            self._loop.call_soon(done, _not_read(number))

    def answered(self, result: CommandResult) -> None:
        """Take an answer; one that comes too late is nobody's."""
        done = self._open.pop(result.id, None)
        if done is not None:
            self._deadlines.discard(result.id)
            self._loop.call_soon(done, result)

    def lost(self) -> None:
        """The child is gone, and nobody knows what became of what it was told; answered soon."""
        for number, done in self._open.items():
            self._deadlines.discard(number)
            self._loop.call_soon(done, _lost(number))
        self._open.clear()

    def _overdue(self, number: int) -> None:
        self._drain()  # one of us that was stopped meanwhile has not read it yet
        done = self._open.pop(number, None)
        if done is not None:
            self._loop.call_soon(done, _late(number))


async def answer_of(begin: Callable[[Done], None]) -> CommandResult:
    """Return the answer to what `begin` begins; it comes by the deadline given there.

    A caller that is cancelled leaves it under way.
    """
    answer: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()

    def done(result: CommandResult) -> None:
        if not answer.done():
            answer.set_result(result)

    begin(done)
    return await answer


def _not_read(number: int) -> CommandResult:
    return CommandResult(
        id=number, retcode=RetCode.SATURATED, message="the child does not read", retryable=True
    )


def _lost(number: int) -> CommandResult:
    return CommandResult(id=number, retcode=RetCode.CHILD_LOST, message="the account's process ended")


def _late(number: int) -> CommandResult:
    text = "the child did not answer in time"
    return CommandResult(id=number, retcode=RetCode.DEADLINE_EXCEEDED, message=text)
