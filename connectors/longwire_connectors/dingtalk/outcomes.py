"""Answers that are a success as a whole, and name what failed all the same. Pure.

Shapes: open.dingtalk.com robot_1.0 and card_1.0.
"""

from __future__ import annotations

from longwire_connectors.dingtalk.params import Json, Target, ToPerson
from longwire_connectors.dingtalk.shapes import as_list, as_map, as_text
from longwire_protocol.errors import CommandError, RetCode


def check_receiver(answer: Json, target: Target) -> None:
    """Raise for a person who does not get the message."""
    if not isinstance(target, ToPerson):
        return
    if target.staff_id in as_list(answer.get("invalidStaffIdList")):
        raise _refused("DingTalk knows no such `user`", code="invalidStaffId")
    if target.staff_id in as_list(answer.get("flowControlledStaffIdList")):
        raise CommandError(
            RetCode.PLATFORM_LIMITED,
            "DingTalk limits messages to this user",
            retryable=True,
            retry_after_ms=1000,
            data={"platform_code": "flowControlledStaffId", "limit": "chat"},
        )


def check_recalled(answer: Json, key: str) -> None:
    """Raise for a message that could not be taken back."""
    failed = as_map(answer.get("failedResult"))
    if key in failed:
        raise _refused("DingTalk did not take the message back", code=as_text(failed[key]) or "failedResult")


def card_carrier(answer: Json) -> str | None:
    """Return the id of the message that carries a new card, by which it is recalled; raise if it has none."""
    results = [as_map(one) for one in as_list(as_map(answer.get("result")).get("deliverResults"))]
    for one in results:
        if one.get("success") is False:
            raise _refused(
                "DingTalk did not show the card", code=as_text(one.get("errorMsg")) or "deliverResults"
            )
    return next((carrier for one in results if (carrier := as_text(one.get("carrierId")))), None)


def _refused(message: str, *, code: str) -> CommandError:
    return CommandError(RetCode.PLATFORM_REFUSED, f"{message}: {code}", data={"platform_code": code})
