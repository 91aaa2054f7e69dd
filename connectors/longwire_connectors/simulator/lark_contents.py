"""The ``content`` of Lark's messages, by type.

Shapes: Lark's document «received message content» (im-v1/message/events/message_content). Pure.
"""

import msgspec

from longwire_connectors.simulator.errors import AdminRequestError

__all__ = ["build_content"]

Json = dict[str, object]

_FILE = "file_v3_0000_simulated"
_IMAGE = "img_v3_0000_simulated"
_BEGIN, _END = "1608265395000", "1608267015000"


def build_content(message_type: str, text: str) -> str:
    """Return a content in which ``text`` stands where people would read it.

    AdminRequestError for a type that is not known here.
    """
    contents = _simple(text) | _shared(text)
    if message_type not in contents:
        raise AdminRequestError(f"give `content` for message_type {message_type!r}")
    return msgspec.json.encode(contents[message_type]).decode()


def _simple(text: str) -> dict[str, Json]:
    style: list[str] = []
    words = [{"tag": "text", "text": text, "style": style}]
    return {
        "text": {"text": text},
        "post": {"title": "", "content": [words]},
        "image": {"image_key": _IMAGE},
        "file": {"file_key": _FILE, "file_name": text},
        "folder": {"file_key": _FILE, "file_name": text},
        "audio": {"file_key": _FILE, "duration": 2000},
        "media": {"file_key": _FILE, "image_key": _IMAGE, "file_name": text, "duration": 2000},
        "sticker": {"file_key": _FILE},
        "location": {"name": text, "longitude": "120.21", "latitude": "30.25"},
    }


def _shared(text: str) -> dict[str, Json]:
    """Return what has a card in Lark's clients."""
    words = [{"tag": "text", "text": text}]
    appointment: Json = {"summary": text, "start_time": _BEGIN, "end_time": _END}
    return {
        "interactive": {"title": text, "elements": [[{"tag": "button", "text": "OK", "type": "primary"}]]},
        "share_chat": {"chat_id": "oc_shared"},
        "share_user": {"user_id": "ou_shared"},
        "share_calendar_event": appointment,
        "calendar": appointment,
        "general_calendar": appointment,
        "video_chat": {"topic": text, "start_time": _BEGIN},
        "todo": {"task_id": "t-simulated", "summary": {"title": "", "content": [words]}, "due_time": _END},
        "vote": {"topic": text, "options": ["yes", "no"]},
        "hongbao": {"text": text},
        "system": {
            "template": "{from_user} invited {to_chatters} to this chat.",
            "from_user": [text],
            "to_chatters": ["Mei", "Lee"],
        },
        "merge_forward": {"content": "Merged and Forwarded Message"},
    }
