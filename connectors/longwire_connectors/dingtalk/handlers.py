"""What the SDK calls for a frame, and the answer it gets for it."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from typing import Any

from longwire_connectors.dingtalk.normalise import Frame

Take = Callable[[Frame], Awaitable[dict[str, Any] | None]]
"""Takes a frame; returns the answer's data in the form that its kind wants, `None` if it is not on disk."""

_EVENT_HEADERS = {
    "eventBornTime": "event_born_time",
    "eventCorpId": "event_corp_id",
    "eventId": "event_id",
    "eventType": "event_type",
    "eventUnifiedAppId": "event_unified_app_id",
}


class StoringHandler:
    """Stands in for the SDK's handlers, which this duck-types: theirs install log handlers (D20).

    The answer is made only once the event is on disk. Before that there is none at all: what the platform
    repeats without one it shall repeat. It never depends on what some handler returned (D9).

    Args:
        kind: `type` of its frames.
        take: stores a frame.
    """

    def __init__(self, kind: str, take: Take) -> None:
        self.dingtalk_client: Any = None
        self._kind = kind
        self._take = take

    def pre_start(self) -> None:
        """Do nothing; the SDK calls it once."""

    async def raw_process(self, message: Any) -> Any:
        """Return the SDK's AckMessage once the frame is stored, else `None`, which sends nothing."""
        frame = Frame(type=self._kind, headers=_headers(message.headers), data=message.data)
        data = await self._take(frame)
        # Without an id the platform could not tell what is answered.
        return _acknowledgement(message, data) if data is not None and message.headers.message_id else None


def _acknowledgement(message: Any, data: dict[str, Any]) -> Any:
    frames = importlib.import_module("dingtalk_stream.frames")
    ack = frames.AckMessage()
    ack.code = frames.AckMessage.STATUS_OK
    ack.headers.message_id = message.headers.message_id
    ack.headers.content_type = frames.Headers.CONTENT_TYPE_APPLICATION_JSON
    ack.message = "OK"
    ack.data = data
    return ack


def _headers(headers: Any) -> dict[str, Any]:
    """Return a frame's headers as they were sent; the SDK's `to_dict` leaves out those of events."""
    given: dict[str, Any] = headers.to_dict()
    for name, attribute in _EVENT_HEADERS.items():
        value = getattr(headers, attribute, None)
        if value is not None:
            given[name] = str(value)
    return given
