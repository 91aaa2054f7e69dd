"""The event that tells what became of a command."""

from __future__ import annotations

from typing import Any

from longwire.outbox.command import Command, facts
from longwire_protocol.codec import encode_event
from longwire_protocol.event import Event
from longwire_protocol.frames import HandedOver

TYPE = "delivery.updated"


def report(command: Command, *, event_id: str) -> HandedOver:
    """Return the event of a command that has ended.

    It belongs to no chat's order: nobody's failing handler of messages is to hold it up.
    """
    ended_at = command.ended_at or 0.0
    told = facts(command)
    event = Event(
        id=event_id,
        type=TYPE,
        time=ended_at,
        recv_time=ended_at,
        tenant=command.tenant,
        account=command.account,
        platform=command.platform,
        message_id=_message_id(told["data"]),
        raw=told,
    )
    return HandedOver(0, TYPE, None, None, ended_at, encode_event(event))


def _message_id(data: Any) -> str | None:
    match data:
        case {"message_id": str(message_id)}:
            return message_id
        case _:
            return None
