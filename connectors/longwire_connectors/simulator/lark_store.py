"""The messages that the simulated Lark knows: those of bots, and those injected as sent by people."""

import msgspec

from longwire_connectors.simulator.lark_gate import Json, Refusal

__all__ = ["Store", "Stored", "decoded"]

RECALLED = 230011
"""«The message was withdrawn»."""
NOT_FOUND = 231003
"""A message that is not there (public code)."""
NOT_YOURS = 230071
"""Of somebody else. Not established."""
MAX_MESSAGES = 50_000


class Stored(msgspec.Struct, kw_only=True):
    """One message."""

    message_id: str
    app: str
    """Of the bot that sent it; empty for a person's."""
    sender: str
    chat: str
    kind: str
    content: str
    created: str
    """Milliseconds, as Lark writes them."""
    updated: str
    parent: str | None = None
    thread: str | None = None
    edits: int = 0
    is_recalled: bool = False

    def item(self) -> Json:
        """Return it as Lark tells of it."""
        sender_type = "app" if self.app else "user"
        told: Json = {
            "message_id": self.message_id,
            "parent_id": self.parent,
            "root_id": self.parent,
            "thread_id": self.thread,
            "msg_type": self.kind,
            "create_time": self.created,
            "update_time": self.updated,
            "deleted": self.is_recalled,
            "updated": self.edits > 0,
            "chat_id": self.chat,
            "sender": {
                "id": self.sender,
                "id_type": "app_id" if self.app else "open_id",
                "sender_type": sender_type,
                "tenant_key": "2ca1d211f64f6438",
            },
            "body": {"content": self.content},
        }
        return {name: value for name, value in told.items() if value is not None}


class Store:
    """The newest messages; the oldest are forgotten."""

    def __init__(self) -> None:
        self._messages: dict[str, Stored] = {}

    def put(self, message: Stored) -> None:
        """Remember a message."""
        self._messages[message.message_id] = message
        if len(self._messages) > MAX_MESSAGES:
            del self._messages[next(iter(self._messages))]

    def find(self, message_id: str) -> Stored | None:
        """Return a message, None if it is not known."""
        return self._messages.get(message_id)

    def there(self, message_id: str) -> Stored:
        """Return a message that is not recalled; Refusal if there is none."""
        message = self.find(message_id)
        if message is None:
            raise Refusal(NOT_FOUND, "The message is not found.")
        if message.is_recalled:
            raise Refusal(RECALLED, "The message was withdrawn.")
        return message

    def own(self, message_id: str, *, app: str) -> Stored:
        """Return a message that this app sent; Refusal for another's."""
        message = self.there(message_id)
        if message.app != app:
            raise Refusal(NOT_YOURS, "The operator is not the sender of the message.")
        return message


def decoded(content: object) -> Json | None:
    """Return the object in a JSON text, None if it is none."""
    if not isinstance(content, str):
        return None
    try:
        return msgspec.json.decode(content, type=dict[str, object])
    except msgspec.MsgspecError:
        return None
