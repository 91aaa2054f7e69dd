"""Who did it, and who it was done to, as Lark names them. Pure.

Field names: lark_oapi `api/im/v1/model/` `user_id.py` (UserId) and `chat_member_user.py` (ChatMemberUser);
`_DOERS` from `api/*/*/model/p2_*.py`, all events that the SDK knows.
"""

from __future__ import annotations

from collections.abc import Iterator

from longwire_connectors.lark.payload import Json, items, part, text
from longwire_protocol.event import Segment, Sender

_KINDS = ("open_id", "union_id", "user_id")
"""The ids of a person, the best to know someone by first: a bot's own one is an open_id."""

_DOERS = (
    *("sender", "sender_id", "operator", "operator_id", "operator_user_id", "operator_id_list"),
    *("reader", "reader_id", "inviter", "initiator", "leave_user", "start_user", "creator_id"),
    "learner",
)
"""Where an event says who did it, what tells it best first; `_PERHAPS` only where none of these does.
Whom it was done to has other names: `users`, `user_id_list`, `target_user_id`, `subscriber_ids`."""

_PERHAPS = ("user_id", "user")

_INNER = ("sender_id", "operator_id", "reader_id", "id", "user_id")
"""Where someone's ids are, if one level further down."""


def person(ids: Json, *, name: str | None = None, is_bot: bool | None = None) -> Sender | None:
    """Return whom a map of ids names; `None` if it holds none."""
    known = {kind: ids[kind] for kind in _KINDS if text(ids, kind)}
    best = next(iter(known.values()), None)
    return None if best is None else Sender(id=best, name=name, is_bot=is_bot, ids=known)


def actor(payload: Json) -> Sender | None:
    """Return who did it, whatever it is; `None` for what nobody did.

    For payloads of new kinds and broken shapes: who may not talk shall not get through by way of them.
    """
    event = part(payload, "event")
    bodies = (event, part(event, "message"), payload)
    found = (one for body in bodies for one in _people(body))
    return next(found, None)


def _people(body: Json) -> Iterator[Sender]:
    """Yield whom a body names, first who most likely did it."""
    doers = (_whoever(body, name) for name in _DOERS)
    others = (_whoever(body, name) for name in _PERHAPS)
    # Schema 1.0 has the ids in the event itself, cards before callbacks in the payload.
    yield from (one for one in (*doers, person(body), *others) if one)


def _whoever(outer: Json, name: str) -> Sender | None:
    """Return whom a value names: an id, a person, the first of several, or a map that holds one of these."""
    first = next(iter(items(outer, name)), None)
    holder: Json = outer if first is None else {name: first}
    value = part(holder, name)
    inner = (person(part(value, deeper)) or _only(text(value, deeper)) for deeper in _INNER)
    return _only(text(holder, name)) or person(value) or next((one for one in inner if one), None)


def _only(known: str | None) -> Sender | None:
    return Sender(id=known) if known else None


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
