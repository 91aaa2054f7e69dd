"""The processes of one account: the present one, whose state is the account's, and at times a second one.

The second one is made to succeed; from the swap on it is the present one, and what was there before is the
second, which leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from longwire.child import Child
from longwire.incarnation import Incarnation
from longwire.inquiries import answer_of
from longwire.lifecycle import Action
from longwire_protocol.errors import RetCode
from longwire_protocol.frames import CommandResult

RESPOND = "card.respond"
"""The one command that only the process can carry out to which the platform sent the click."""

_NOT_HERE = {RetCode.BAD_PARAM, RetCode.SATURATED}
"""What a process answers that does not know the click, or is not there yet to be asked."""


class Pair:
    """Carries out what the lifecycle wants of an account's processes.

    Args:
        make: makes an incarnation; told whether it is to succeed the present one.
    """

    def __init__(self, make: Callable[[bool], Incarnation]) -> None:
        self._make = make
        self.present: Incarnation | None = None
        self.second: Incarnation | None = None
        """The successor of the present one, or its predecessor."""
        self.number = 0
        """Of the last process that was the account's."""

    @property
    def child(self) -> Child | None:
        """The account's process."""
        return self.present.child if self.present else None

    def started(self, incarnation: Incarnation) -> None:
        """Its process is there."""
        if incarnation is self.present:
            self.number = incarnation.number

    def gone(self, incarnation: Incarnation) -> None:
        """It has no process any more; where there is another one, that one is the account's now."""
        incarnation.gone()
        if incarnation is self.second:
            self.second = None
        else:
            self.present, self.second = self.second, None

    def of(self, child: Child) -> Incarnation:
        """Return whose child it is."""
        if self.second is not None and self.second.child is child:
            return self.second
        assert self.present is not None  # noqa: S101  # for the type checker
        return self.present

    def carry_out(self, action: Action) -> None:
        """Have one of the two do something, or make it."""
        match action:
            case Action.SPAWN:
                self.present = self._make(False)
                self.present.begin()
            case Action.SPAWN_SECOND:
                self.second = self._make(True)
                self.second.begin()
            case Action.SWAP:
                self.present, self.second = self.second, self.present
                self.number = self.present.number if self.present else self.number
            case _:
                self._direct(action)

    def _direct(self, action: Action) -> None:
        is_second = action in {Action.CONNECT_SECOND, Action.STOP_SECOND}
        incarnation = self.second if is_second else self.present
        assert incarnation is not None, action  # noqa: S101  # the lifecycle knows what there is
        match action:
            case Action.CONNECT | Action.CONNECT_SECOND:
                incarnation.connect()
            case Action.KILL_CHILD:
                incarnation.kill()
            case _:
                incarnation.stop()

    async def respond(self, params: dict[str, Any], *, deadline_s: float) -> CommandResult | None:
        """Have a click on a card answered by the process that holds it, also one that is leaving.

        `None`: there is no process. Raises CommandError where one cannot be asked.
        """
        answer: CommandResult | None = None
        for incarnation in (self.present, self.second):
            if incarnation is not None and incarnation.child is not None:
                begin = incarnation.child.inquiries.begin
                found = await answer_of(partial(begin, RESPOND, params, deadline_s=deadline_s, key=None))
                if found.retcode not in _NOT_HERE:
                    return found
                answer = answer or found
        return answer
