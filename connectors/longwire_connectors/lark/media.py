"""`media.upload` and `media.download`: what is asked for, and which part of a resource it is. Pure.

Documents: im-v1/image/create, im-v1/file/create, im-v1/message-resource/get.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from longwire_connectors.lark.bodies import bad
from longwire_connectors.lark.outgoing import Request, path_id, read_params

MIB = 1024 * 1024
CHUNK_BYTES = 2 * MIB
"""The most of one `media.download`, and what fits well into one `media.upload`: half a client's frame."""
IMAGE_BYTES = 10 * MIB
FILE_BYTES = 30 * MIB
"""What Lark takes; it takes no empty ones."""
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
_RANGE = re.compile(r"bytes (?P<first>\d{1,15})-\d{1,15}/(?P<size>\d{1,15})", re.ASCII)

Kind = Literal["image", "file", "audio", "video"]
Natural = Annotated[int, msgspec.Meta(ge=0)]


class Upload(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A chunk; the first one says of what."""

    data: bytes
    offset: Natural = 0
    upload_id: str | None = None
    last: bool = False
    kind: Kind = "file"
    name: str | None = None
    duration_ms: Natural | None = None
    account: Any = None
    tenant: Any = None


class Download(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which bytes of which resource."""

    message_id: str
    resource: str
    kind: str | None = None
    offset: Natural = 0
    length: Annotated[int, msgspec.Meta(ge=1, le=CHUNK_BYTES)] = CHUNK_BYTES
    account: Any = None
    tenant: Any = None


class Slice(msgspec.Struct, frozen=True):
    """Where an answer's body begins within the resource, and how long that is, if the answer says it."""

    first: int
    size: int | None


def read_upload(given: dict[str, Any]) -> Upload:
    """Return a chunk.

    Raises:
        CommandError: BAD_PARAM. Likewise the others below.
    """
    chunk = read_params(given, Upload)
    if chunk.upload_id is None and chunk.offset != 0:
        raise bad("`upload_id` is needed for what does not begin at `offset` 0")
    if not chunk.data and not chunk.last:
        raise bad("`data` is empty")
    return chunk


def most_bytes(kind: Kind) -> int:
    """Return how large such a thing may be on Lark."""
    return IMAGE_BYTES if kind == "image" else FILE_BYTES


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


def range_header(asked: Download) -> str:
    """Return the header `Range` for what is asked."""
    return f"bytes={asked.offset}-{asked.offset + asked.length - 1}"


def slice_of(headers: Mapping[str, str], *, is_partial: bool) -> Slice:
    """Return what part an answer is: the whole, where the platform does not know ranges.

    larksuite/cli fetches resources by ranges, so Lark does; a proxy between may not.
    """
    if is_partial:
        found = _RANGE.fullmatch(headers.get("Content-Range", ""))
        return Slice(int(found["first"]), int(found["size"])) if found else Slice(0, None)
    length = headers.get("Content-Length", "")
    return Slice(0, int(length) if length.isascii() and length.isdigit() else None)
