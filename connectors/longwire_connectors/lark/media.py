"""`media.upload` and `media.download`: what is asked for. Pure.

Documents: im-v1/image/create, im-v1/file/create, im-v1/message-resource/get.
"""

from __future__ import annotations

from collections.abc import Mapping

from longwire_connectors import uploads
from longwire_connectors.lark.outgoing import Request, path_id
from longwire_connectors.uploads import Kind, Natural

MIB = 1024 * 1024
IMAGE_BYTES = 10 * MIB
FILE_BYTES = 30 * MIB
"""What Lark takes; it takes no empty ones."""
MOST_BYTES: Mapping[str, int] = {
    "image": IMAGE_BYTES,
    "file": FILE_BYTES,
    "audio": FILE_BYTES,
    "video": FILE_BYTES,
}
DOWNLOAD_BYTES = 100 * MIB
"""What Lark gives out."""
_TYPES = {
    ".opus": "opus",
    ".mp4": "mp4",
    ".pdf": "pdf",
    ".doc": "doc",
    ".docx": "doc",
    ".xls": "xls",
    ".xlsx": "xls",
    ".ppt": "ppt",
    ".pptx": "ppt",
}
"""`file_type` by the name's end; all else is a `stream`."""


class Upload(uploads.Upload, forbid_unknown_fields=True, kw_only=True):
    """The parameters of `media.upload`; Lark wants to be told how long sound and film last."""

    duration_ms: Natural | None = None


class Download(uploads.Download, forbid_unknown_fields=True, kw_only=True):
    """The parameters of `media.download`; Lark finds a resource by its message."""

    message_id: str


def upload_form(kind: Kind, *, name: str | None, duration_ms: int | None) -> tuple[str, dict[str, str]]:
    """Return the path to upload to and the form's fields but for the bytes."""
    if kind == "image":
        return "/im/v1/images", {"image_type": "message"}
    file_name = name or {"audio": "audio.opus", "video": "video.mp4"}.get(kind, "file")
    by_name = next((value for end, value in _TYPES.items() if file_name.lower().endswith(end)), "stream")
    file_type = {"audio": "opus", "video": "mp4"}.get(kind, by_name)
    fields = {"file_type": file_type, "file_name": file_name}
    if duration_ms is not None:
        fields["duration"] = str(duration_ms)
    return "/im/v1/files", fields


def download_request(asked: Download) -> Request:
    """Return the call for a resource; the range goes into a header."""
    path = f"/im/v1/messages/{path_id(asked.message_id, 'message_id')}/resources"
    is_image = asked.kind == "image" or (asked.kind is None and asked.resource.startswith("img_"))
    return Request(
        f"{path}/{path_id(asked.resource, 'resource')}",
        {"type": "image" if is_image else "file"},
        method="GET",
        is_harmless=True,
    )
