"""The ``event`` part of what Lark tells besides messages: reactions, recalls, receipts, members, chats.

Shapes: the SDK's models, ``api/im/v1/model/p2_im_*.py``, and the examples in Lark's documents of these
events. Pure: ids and time are given.
"""

from collections.abc import Callable, Mapping

from longwire_connectors.simulator.errors import AdminRequestError
from longwire_connectors.simulator.injections import EventIds, LarkEvent

__all__ = ["TENANT_KEY", "build_notice", "milliseconds", "user"]

TENANT_KEY = "2ca1d211f64f6438"
Json = dict[str, object]
Build = Callable[[LarkEvent, EventIds, str], Json]
"""Makes a body of an injection, its ids and the time in milliseconds."""


def build_notice(event: LarkEvent, *, ids: EventIds, now: float) -> Json:
    """Return the body given in the injection, else one of its event type's shape.

    AdminRequestError if neither is there, or no event type.
    """
    if event.event_type is None:
        raise AdminRequestError("kind `event` needs an `event_type`")
    if event.data is not None:
        return event.data
    build = _BODIES.get(event.event_type)
    if build is None:
        raise AdminRequestError(f"give `data` for event_type {event.event_type!r}")
    return build(event, ids, milliseconds(now))


def user(open_id: str) -> dict[str, str]:
    """Return the three ids of a user; the others are derived from the open_id."""
    bare = open_id.removeprefix("ou_")
    return {"union_id": f"on_{bare}", "user_id": bare, "open_id": open_id}


def milliseconds(now: float) -> str:
    """Return a time as Lark writes it."""
    return str(int(now * 1000))


def _reaction(event: LarkEvent, ids: EventIds, now: str) -> Json:
    return {
        "message_id": ids.message_id,
        "reaction_type": {"emoji_type": event.emoji},
        "operator_type": "user",
        "user_id": user(event.sender),
        "action_time": now,
    }


def _recall(event: LarkEvent, ids: EventIds, now: str) -> Json:
    told = {"message_id": ids.message_id, "chat_id": event.chat, "recall_time": now}
    return {**told, "recall_type": "message_owner"}


def _receipt(event: LarkEvent, ids: EventIds, now: str) -> Json:
    reader = {"reader_id": user(event.sender), "read_time": now, "tenant_key": TENANT_KEY}
    return {"reader": reader, "message_id_list": [ids.message_id]}


def _chat(event: LarkEvent, _: EventIds, __: str) -> Json:
    return {
        "chat_id": event.chat,
        "operator_id": user(event.sender),
        "external": False,
        "operator_tenant_key": TENANT_KEY,
        "name": event.text,
        "i18n_names": {"zh_cn": event.text},
    }


def _members(event: LarkEvent, ids: EventIds, now: str) -> Json:
    people = [(mention.open_id, mention.name) for mention in event.mentions] or [(event.sender, "User")]
    users = [{"name": name, "tenant_key": TENANT_KEY, "user_id": user(open_id)} for open_id, name in people]
    return {**_chat(event, ids, now), "users": users}


def _change(event: LarkEvent, ids: EventIds, now: str) -> Json:
    chat = _chat(event, ids, now)
    told = {name: chat[name] for name in ("chat_id", "operator_id", "external", "operator_tenant_key")}
    return {**told, "after_change": {"name": event.text}, "before_change": {"name": "simulated group"}}


def _entry(event: LarkEvent, ids: EventIds, now: str) -> Json:
    last = {"last_message_id": ids.message_id, "last_message_create_time": now}
    return {"chat_id": event.chat, "operator_id": user(event.sender), **last}


def _menu(event: LarkEvent, _: EventIds, now: str) -> Json:
    operator = {"operator_name": "User", "operator_id": user(event.sender)}
    return {"operator": operator, "event_key": event.text, "timestamp": int(now) // 1000}


def _preview(event: LarkEvent, ids: EventIds, _: str) -> Json:
    return {
        "operator": {"tenant_key": TENANT_KEY, **user(event.sender)},
        "host": "im_message",
        "context": {
            "url": event.text,
            "preview_token": f"p-{ids.trace_id}",
            "open_message_id": ids.message_id,
            "open_chat_id": event.chat,
        },
    }


_BODIES: Mapping[str, Build] = {
    "im.message.reaction.created_v1": _reaction,
    "im.message.reaction.deleted_v1": _reaction,
    "im.message.recalled_v1": _recall,
    "im.message.message_read_v1": _receipt,
    "im.chat.member.user.added_v1": _members,
    "im.chat.member.user.deleted_v1": _members,
    "im.chat.member.user.withdrawn_v1": _members,
    "im.chat.member.bot.added_v1": _chat,
    "im.chat.member.bot.deleted_v1": _chat,
    "im.chat.updated_v1": _change,
    "im.chat.disbanded_v1": _chat,
    "im.chat.access_event.bot_p2p_chat_entered_v1": _entry,
    "application.bot.menu_v6": _menu,
    "url.preview.get": _preview,
}
"""By event type. An edit has the body of a message: inject a message of type ``im.message.updated_v1``."""
