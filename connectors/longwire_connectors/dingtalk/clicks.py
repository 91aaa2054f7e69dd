"""What DingTalk shows to who clicked on a card: the form of an answer. Pure.

`{"cardUpdateOptions", "cardData": {"cardParamMap"}, "userPrivateData"}`, its variables all texts
(dingtalk-stream-sdk-go `card/model.go`), in the answer's `data` as `response`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from longwire_connectors.clickbook import Answer
from longwire_protocol.errors import CommandError, RetCode


def shown(answer: Answer) -> dict[str, Any]:
    """Return DingTalk's form of an answer; `card` names the variables that change, the others stay.

    They may stand in `cardData`, as in `card.update`, or by themselves.

    Raises:
        CommandError: `UNSUPPORTED` for a toast; nothing is shown then, and the click still waits.
    """
    if answer.toast is not None:
        raise CommandError(RetCode.UNSUPPORTED, "toast: DingTalk has none; change the card instead")
    form = dict(answer.data or {})
    if answer.card is not None:
        variables = _variables(answer.card)
        form["cardData"] = {"cardParamMap": {name: _text(value) for name, value in variables.items()}}
        form.setdefault("cardUpdateOptions", {"updateCardDataByKey": True})
    return form


def _variables(card: dict[str, Any]) -> dict[str, Any]:
    match card.get("cardData"):
        case {"cardParamMap": {**variables}}:
            return {str(name): value for name, value in variables.items()}
        case _:
            return card


def _text(value: Any) -> str:
    """Return a variable as DingTalk wants it: what is not a text as the JSON of it."""
    try:
        return value if isinstance(value, str) else msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError) as exc:
        raise CommandError(RetCode.BAD_PARAM, f"card: it has no form in JSON: {exc}") from exc
