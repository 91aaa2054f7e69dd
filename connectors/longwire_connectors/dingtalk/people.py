"""Who did it, as DingTalk names them in all that it sends. Pure.

Names: messages and clicks `docs/platforms.md` 4.2; events as in the examples of open.dingtalk.com, where
approvals have `staffId`, the address book `optStaffId`, chats `operator` and `operatorUnionId`.
"""

from __future__ import annotations

from typing import Any

from longwire_connectors.dingtalk.shapes import as_map, as_text
from longwire_protocol.event import Sender

_Kinds = dict[str, tuple[str, ...]]

_SENDER: _Kinds = {
    "staff_id": ("senderStaffId",),
    "dingtalk_id": ("senderId",),
    "union_id": ("senderUnionId",),
}
_OPERATOR: _Kinds = {
    "staff_id": ("operator", "optStaffId", "operatorStaffId", "operatorUserId", "operatorId"),
    "union_id": ("operatorUnionId",),
}
_USER: _Kinds = {"staff_id": ("staffId", "userId"), "union_id": ("unionId",)}
_PEOPLE = (_SENDER, _OPERATOR, _USER)
"""The fields with the ids of one person each, by kind, what tells best who did it first. Ids of two people
must not be put together, or one would pass for the other. An array is never who did it, but to whom."""
_MAPS = ("sender", "operator", "user")
"""Objects that hold one of `_PEOPLE`."""


def actor(data: dict[str, Any]) -> Sender | None:
    """Return who did it, whatever it is; `None` for what nobody did.

    For frames of new kinds and broken shapes: who may not talk shall not get through by way of them. Fields
    are read with a small or a capital first letter.
    """
    fields = {key[:1].lower() + key[1:]: value for key, value in data.items()}
    bodies = (fields, *(as_map(fields.get(name)) for name in _MAPS))
    found = (_person(body, kinds) for body in bodies for kinds in _PEOPLE)
    return next((one for one in found if one), None)


def _person(fields: dict[str, Any], kinds: _Kinds) -> Sender | None:
    given = {kind: [as_text(fields.get(name)) for name in names] for kind, names in kinds.items()}
    ids = {kind: next(filter(None, values)) for kind, values in given.items() if any(values)}
    best = next(iter(ids.values()), None)
    return Sender(id=best, name=as_text(fields.get("senderNick")), ids=ids) if best else None
