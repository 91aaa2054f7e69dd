"""What somebody who clicked on a card was shown, and after how long. Pure.

A click has one chance: its answer comes with the ack within the deadline, or a failure is shown (Lark's
document on callbacks; ``docs/platforms.md`` 1.4).
"""

from typing import Literal

import msgspec

from longwire_connectors.simulator.deliveries import DeliveryRecord, Phase

__all__ = ["ClickSeen", "clicks_seen"]

CLICK = "card"
"""``kind`` of the deliveries that are clicks."""


class ClickSeen(msgspec.Struct, kw_only=True):
    """One click as its user saw it."""

    app: str
    frame_message_id: str
    sees: Literal["nothing yet", "answer", "failure"]
    after_s: float | None = None
    """Seconds from the click to that."""
    answer: object = None
    """On Lark the map with ``toast`` and ``card``, on DingTalk what ``response`` holds."""


def clicks_seen(records: list[DeliveryRecord], *, deadline_s: float) -> list[ClickSeen]:
    """Return the clicks among these deliveries, in order; ``deadline_s`` is after what a failure is shown."""
    return [_seen(record, deadline_s=deadline_s) for record in records if record.kind == CLICK]


def _seen(record: DeliveryRecord, *, deadline_s: float) -> ClickSeen:
    seen = ClickSeen(app=record.app, frame_message_id=record.frame_message_id, sees="nothing yet")
    if record.phase is Phase.ACKED and record.acked_at is not None:
        seen.sees, seen.after_s = "answer", record.acked_at - record.sent_at[-1]
        seen.answer = _answer(record.ack_data)
    elif record.phase is Phase.DROPPED:  # nobody was there to ask
        seen.sees, seen.after_s = "failure", 0.0
    elif record.phase is Phase.EXHAUSTED:
        seen.sees, seen.after_s = "failure", deadline_s
    return seen


def _answer(data: str | None) -> object:
    """Return an answer's JSON, DingTalk's unwrapped."""
    match msgspec.json.decode(data or "null"):
        case {"response": answer}:
            return answer
        case answer:
            return answer
