"""What an answer asks for, as bot frameworks do, carried out: durable commands, each with one effect.

The key of a command is made of the target, the event and its place in the answer. So an event that is posted
again, as its ack got lost, has no second effect, whatever the target answers then.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from longwire.courier import answers
from longwire.courier.answers import Unusable, Wanted
from longwire.courier.http import Answer
from longwire.courier.target import Target
from longwire_protocol.client import Client
from longwire_protocol.errors import CommandError, RetCode, SupervisorUnreachable
from longwire_protocol.event import Event

_log = logging.getLogger("longwire.courier")

_COUNTS_S = 600.0
"""How long a command counts once it is accepted: as long as somebody still waits for an answer."""


class Said(msgspec.Struct, frozen=True):
    """What became of an answer's commands."""

    accepted: int = 0
    refused: int = 0


class Replies:
    """Of one target."""

    def __init__(self, target: Target, client: Client) -> None:
        self._target = target
        self._client = client

    async def carry_out(self, events: Sequence[Event], answer: Answer) -> Said:
        """Return when all commands of an answer are accepted, or refused for good, which is logged.

        Raises:
            CommandError: one cannot be accepted now; with the same event and answer, it may be later.
        """
        if not answer.body or len(events) != 1:
            return Said()
        try:
            commands = answers.wanted(answer, events[0], self._target)
        except Unusable as exc:
            self._refused("", str(exc))
            return Said(refused=1)
        accepted = [await self._is_accepted(command) for command in commands]
        return Said(accepted.count(True), accepted.count(False))

    async def _is_accepted(self, wanted: Wanted) -> bool:
        try:
            await self._client.call(
                wanted.method,
                dict(wanted.params),
                account=wanted.account,
                tenant=self._target.tenant,
                idempotency_key=wanted.key,
                wait_ms=0,
                deadline_s=_COUNTS_S,
            )
        except SupervisorUnreachable as exc:
            raise CommandError(RetCode.INTERNAL, str(exc), retryable=True) from exc
        except CommandError as exc:
            if exc.retryable:
                raise
            self._refused(wanted.method, str(exc))
            return False
        return True

    def _refused(self, method: str, text: str) -> None:
        about = {"webhook": self._target.name, "method": method, "text": text}
        _log.warning("webhook_reply_refused", extra=about)
