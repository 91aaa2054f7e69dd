"""Frames of DingTalk Stream as they go over the WebSocket. Pure; `docs/platforms.md` 4.2 has the sources."""

from __future__ import annotations

from typing import Any

import msgspec

OK = 200
BAD_REQUEST = 400
NO_SUCH_TOPIC = 404

SYSTEM = "SYSTEM"
EVENT = "EVENT"
CALLBACK = "CALLBACK"

PING = "ping"
DISCONNECT = "disconnect"

ROBOT_TOPIC = "/v1.0/im/bot/messages/get"
CARD_TOPIC = "/v1.0/card/instances/callback"


class Envelope(msgspec.Struct, rename="camel"):
    """A frame of the platform, its `data` still a JSON text."""

    type: str
    headers: dict[str, Any]
    data: str | None = None
    spec_version: Any = None

    @property
    def topic(self) -> str:
        """The topic, empty if there is none."""
        topic = self.headers.get("topic")
        return topic if isinstance(topic, str) else ""

    @property
    def message_id(self) -> str | None:
        """What an answer must carry; `None` if the frame cannot be answered."""
        given = self.headers.get("messageId")
        return given if isinstance(given, str) and given else None

    def for_sdk(self) -> dict[str, Any]:
        """Return the frame as the SDK's `route_message` wants it."""
        return {
            "specVersion": self.spec_version,
            "type": self.type,
            "headers": self.headers,
            "data": self.data or "",
        }


_decoder = msgspec.json.Decoder(Envelope)


def read(text: bytes | str) -> Envelope | None:
    """Return the frame in a WebSocket message; `None` if it is none: no JSON, an array, a field missing."""
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def answer(message_id: str, *, code: int, message: str, data: str) -> str:
    """Return the text of an answer; `data` is JSON text itself."""
    headers = {"contentType": "application/json", "messageId": message_id}
    return msgspec.json.encode({"code": code, "headers": headers, "message": message, "data": data}).decode()
