"""Who did it, and who it was done to, as Lark names them. Pure.

Field names: lark_oapi `api/im/v1/model/` `user_id.py` (UserId) and `chat_member_user.py` (ChatMemberUser).
"""

from __future__ import annotations

from longwire_connectors.lark.payload import Json, part, text
from longwire_protocol.event import Segment, Sender

_KINDS = ("open_id", "union_id", "user_id")
"""The ids of a person, the best to know someone by first: a bot's own one is an open_id."""


def person(ids: Json, *, name: str | None = None, is_bot: bool | None = None) -> Sender | None:
    """Return whom a map of ids names; `None` if it holds none."""
    known = {kind: ids[kind] for kind in _KINDS if text(ids, kind)}
    best = next(iter(known.values()), None)
    return None if best is None else Sender(id=best, name=name, is_bot=is_bot, ids=known)


def app(app_id: str | None) -> Sender | None:
    """Return the app with this id, as the doer of something."""
    return Sender(id=app_id, is_bot=True) if app_id else None


def member(user: Json) -> Segment | None:
    """Return a mention of a chat's member; `None` without an id."""
    someone = person(part(user, "user_id"))
    return mention(someone.id, text(user, "name")) if someone else None


def mention(user_id: str, name: str | None) -> Segment:
    """Return a mention; who has no name is called by the id."""
    return Segment("mention", {"user_id": user_id, "name": name or user_id})
