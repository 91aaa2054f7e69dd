"""A message as `message.get` tells it, from Lark's answer. Pure.

Shape: document im-v1/message/get. The words are those of an event, so that a reader needs one way for both.
"""

from __future__ import annotations

from typing import Any, cast

from longwire_connectors.lark.content import read_content
from longwire_connectors.lark.payload import Json, items, part, text
from longwire_connectors.lark.richtext import Mention


def read_message(data: Json) -> dict[str, Any] | None:
    """Return the first message of an answer's `data`; `None` where there is none."""
    item = next((cast("Json", one) for one in items(data, "items") if isinstance(one, dict)), None)
    if item is None:
        return None
    content = read_content(
        text(item, "msg_type") or "", text(part(item, "body"), "content") or "", mentions=_mentions(item)
    )
    sender = part(item, "sender")
    told: dict[str, Any] = {
        "message_id": text(item, "message_id"),
        "chat": _known(id=text(item, "chat_id"), thread_id=text(item, "thread_id")),
        "sender": _known(id=text(sender, "id"), is_bot=text(sender, "sender_type") == "app"),
        "time": _seconds(item, "create_time"),
        "reply_to": text(item, "parent_id"),
        "is_deleted": item.get("deleted") is True,
        "is_edited": item.get("updated") is True,
        "text": content.text if content else None,
        "segments": content.segments if content else None,
        "resources": content.resources if content else None,
        "raw": item,
    }
    return _known(**told)


def _mentions(item: Json) -> dict[str, Mention]:
    found = [cast("Json", one) for one in items(item, "mentions") if isinstance(one, dict)]
    return {
        key: Mention(who, text(one, "name") or who)
        for one in found
        if (key := text(one, "key")) and (who := text(one, "id"))
    }


def _known(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _seconds(item: Json, name: str) -> float | None:
    given = text(item, name) or ""
    return int(given) / 1000 if given.isascii() and given.isdigit() else None
