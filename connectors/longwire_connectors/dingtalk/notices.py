"""What happens in an organisation besides messages: members, chats, and all that only DingTalk has. Pure.

Shapes: open.dingtalk.com `document/development/group-session-add-persons` and its neighbours, the fields as
in their examples for Stream; with capitals, as captures of the older HTTP push have them, they are read too.
Every other event keeps DingTalk's name: `dingtalk.user_add_org`, `dingtalk.bpms_instance_change`, ...
"""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import Any

from longwire_connectors.dingtalk.shapes import as_list, as_text
from longwire_protocol.event import Chat, Event, Segment, Sender

_TYPES = {
    "chat_add_member": "member.joined",
    "chat_remove_member": "member.left",
    "chat_quit": "member.left",
    "chat_update_title": "chat.updated",
    "chat_update_owner": "chat.updated",
    "chat_disband": "chat.deleted",
}
"""Our types, by DingTalk's."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
"""What may become part of a type; DingTalk's names are words of small letters joined by underscores."""


def read_notice(event: Event, name: Any, data: dict[str, Any]) -> None:
    """Fill in an event from a frame's `data`, and give it its type if that can be told.

    Args:
        event: to be filled in.
        name: `eventType` of the frame's headers.
        data: what happened.
    """
    fields = {key[:1].lower() + key[1:]: value for key, value in data.items()}
    event.chat = _chat(fields)
    event.sender = _operator(fields)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return
    known = _TYPES.get(name)
    if known is None:
        event.type = f"dingtalk.{name}"
    elif event.chat is not None:
        event.type = known
        event.segments = _members(fields, event.sender) if known.startswith("member.") else None


def _chat(fields: dict[str, Any]) -> Chat | None:
    given = as_text(fields.get("openConversationId")) or as_text(fields.get("chatId"))
    return Chat(id=given, type="group", name=as_text(fields.get("title"))) if given else None


def _operator(fields: dict[str, Any]) -> Sender | None:
    """Return who did it; an event of the address book has another name for it."""
    staff_id = as_text(fields.get("operator")) or as_text(fields.get("optStaffId"))
    ids = {"staff_id": staff_id, "union_id": as_text(fields.get("operatorUnionId"))}
    known = {kind: value for kind, value in ids.items() if value}
    best = next(iter(known.values()), None)
    return Sender(id=best, ids=known) if best else None


def _members(fields: dict[str, Any], operator: Sender | None) -> list[Segment] | None:
    """Return who came or went, as mentions; of someone who leaves alone only the operator is told."""
    pairs = zip_longest(as_list(fields.get("userId")), as_list(fields.get("unionId")))
    found = [as_text(user_id) or as_text(union_id) for user_id, union_id in pairs]
    ids = [given for given in found if given] or ([operator.id] if operator else [])
    return [Segment("mention", {"user_id": given, "name": given}) for given in ids] or None
