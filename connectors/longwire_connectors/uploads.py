"""Files that come in pieces from a client, until they are whole: bounded in number, size and time. Pure.

In memory and not on disk, as a child may be killed at any moment and must leave nothing behind. One that is
begun and forgotten goes after a while; one that does not come to its end with this process must begin anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from longwire_protocol.errors import CommandError, RetCode

MAX_UPLOADS = 16
"""Files under way at once."""
MAX_TOTAL_BYTES = 60 * 1024 * 1024
"""All of them together, twice Lark's largest; a child may take 256 MiB by default, and each is copied once to
be sent."""
IDLE_S = 60.0
"""After so long without a piece an upload is dropped: a client sends the next one within milliseconds. One
that is being sent waits for no piece, and stays."""
CHUNK_BYTES = 2 * 1024 * 1024
"""The most of one `media.download`, and what fits well into one `media.upload`: half a client's frame."""

_RETRY_MS = 1000

Kind = Literal["image", "file", "audio", "video"]
Natural = Annotated[int, msgspec.Meta(ge=0)]


class Upload(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The parameters of `media.upload`: a piece; the first one says of what."""

    data: bytes
    offset: Natural = 0
    upload_id: str | None = None
    last: bool = False
    kind: Kind = "file"
    name: str | None = None
    account: Any = None
    tenant: Any = None


class Download(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The parameters of `media.download` on every platform: which bytes of which resource."""

    resource: str
    kind: str | None = None
    offset: Natural = 0
    length: Annotated[int, msgspec.Meta(ge=1, le=CHUNK_BYTES)] = CHUNK_BYTES
    account: Any = None
    tenant: Any = None


P = TypeVar("P", bound=Upload)


class Pending(msgspec.Struct, Generic[P]):
    """An upload that waits for its next piece, or has had its last one."""

    id: str
    about: P
    """Its first piece without the bytes: what the file is."""
    used_at: float
    data: bytearray = msgspec.field(default_factory=bytearray)
    is_being_sent: bool = False


class Uploads(Generic[P]):
    """All uploads of one child.

    Args:
        most_bytes: the largest file the platform takes, by kind.
    """

    def __init__(self, most_bytes: Mapping[str, int]) -> None:
        self._most_bytes = most_bytes
        self._pending: dict[str, Pending[P]] = {}

    def take(self, piece: P, *, fresh_id: str, now: float) -> Pending[P]:
        """Put a piece in its place and return its upload.

        A piece that comes again changes nothing, so a client may repeat one whose answer it missed.

        Args:
            piece: as asked for.
            fresh_id: the id if an upload begins.
            now: seconds on any clock that does not go back.

        Raises:
            CommandError: `BAD_PARAM`: no such upload, not the next byte, empty or too large; `SATURATED`.
        """
        self.expire(now)
        upload = self._begun(piece, fresh_id=fresh_id, now=now)
        self._check(upload, piece)
        self._pending[upload.id] = upload
        upload.used_at = now
        if piece.offset == len(upload.data):
            upload.data += piece.data
        return upload

    def drop(self, upload: Pending[P]) -> None:
        """Forget an upload."""
        self._pending.pop(upload.id, None)

    def expire(self, now: float) -> float | None:
        """Forget what nobody goes on with; return when to look again, `None` if nothing is left."""
        waiting = [one for one in self._pending.values() if not one.is_being_sent]
        for upload in waiting:
            if upload.used_at + IDLE_S <= now:
                self.drop(upload)
        return min((at for one in waiting if (at := one.used_at + IDLE_S) > now), default=None)

    def _begun(self, piece: P, *, fresh_id: str, now: float) -> Pending[P]:
        if piece.upload_id is None:
            if piece.offset:
                raise _bad("`upload_id` is needed for what does not begin at `offset` 0")
            if len(self._pending) >= MAX_UPLOADS:
                raise _saturated(f"{MAX_UPLOADS} uploads are under way")
            return Pending(fresh_id, replace(piece, data=b""), now)
        upload = self._pending.get(piece.upload_id)
        if upload is None:
            raise _bad("`upload_id`: no such upload, or too long ago, or another process: begin at 0 again")
        return upload

    def _check(self, upload: Pending[P], piece: P) -> None:
        have, ends_at = len(upload.data), piece.offset + len(piece.data)
        if piece.offset != have and ends_at > have:
            raise _bad(f"`offset`: the next byte is {have}, not {piece.offset}")
        kind = upload.about.kind
        if ends_at > self._most_bytes[kind]:
            self.drop(upload)
            raise _bad(f"`data`: the platform takes {self._most_bytes[kind]} bytes of {kind}")
        if not piece.data and not (piece.last and have):
            raise _bad("`data` is empty")
        if sum(len(one.data) for one in self._pending.values()) + len(piece.data) > MAX_TOTAL_BYTES:
            raise _saturated(f"the uploads under way hold {MAX_TOTAL_BYTES} bytes")


def _bad(message: str) -> CommandError:
    return CommandError(RetCode.BAD_PARAM, message)


def _saturated(message: str) -> CommandError:
    return CommandError(RetCode.SATURATED, message, retryable=True, retry_after_ms=_RETRY_MS)
