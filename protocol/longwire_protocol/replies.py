"""What a reply brings: its data, that of an accepted command, or the error it tells of."""

from __future__ import annotations

from typing import Any

from longwire_protocol.errors import CommandError
from longwire_protocol.messages import Reply


class Accepted(dict[str, Any]):
    """The data of a command that will be carried out for certain, but was not yet when the reply was made.

    A `dict`, as all data of replies; its type tells it from an outcome. What became of it comes as a
    `delivery.updated` event, and is the answer of `message.get` with this receipt.
    """

    @property
    def receipt(self) -> str:
        """By which the supervisor knows the command."""
        receipt: str = self["receipt"]
        return receipt


def data_of(reply: Reply) -> Any:
    """Return what a reply brings; an `Accepted` where it is a receipt.

    Raises:
        CommandError: the reply is a refusal.
    """
    match reply:
        case Reply(status="accepted", data={"receipt": str()} as data):
            return Accepted(data)
        case Reply(status="failed"):
            raise CommandError(
                reply.retcode,
                reply.message,
                retryable=reply.retryable,
                retry_after_ms=reply.retry_after_ms,
                data=reply.data,
            )
        case _:
            return reply.data
