"""The uploads under way: chunks that wait for the last one, in bounded memory. Pure; time is an argument.

In memory and not on disk, as a child may be killed at any moment and must leave nothing behind. One that is
begun and forgotten goes after a while; one that does not come to its end with this process must begin anew.
"""

from __future__ import annotations

import msgspec

from longwire_connectors.lark.bodies import bad
from longwire_connectors.lark.media import FILE_BYTES, Kind, Upload, most_bytes
from longwire_protocol.errors import CommandError, RetCode

MAX_BYTES = 2 * FILE_BYTES
"""Of all uploads together: a quarter of what a child may take by default, beside the copy that is sent."""
MAX_UPLOADS = 16
IDLE_S = 60.0
"""After so long without a chunk an upload is dropped: clients send the next one within milliseconds."""
_RETRY_MS = 1000


class Pending(msgspec.Struct):
    """An upload that waits for its next chunk, or has had its last one."""

    id: str
    kind: Kind
    name: str | None
    duration_ms: int | None
    used_at: float
    data: bytearray


class Uploads:
    """All uploads of one child."""

    def __init__(self) -> None:
        self._pending: dict[str, Pending] = {}

    def take(self, chunk: Upload, *, fresh_id: str, now: float) -> Pending:
        """Put a chunk in its place and return its upload.

        A chunk that comes again changes nothing, so that a client may repeat one whose answer it missed.

        Args:
            chunk: as asked for.
            fresh_id: the id if an upload begins.
            now: seconds on any clock that does not go back.

        Raises:
            CommandError: BAD_PARAM: no such upload, not the next byte, or too large; SATURATED.
        """
        self.expire(now)
        upload = self._begun(chunk, fresh_id=fresh_id, now=now)
        self._check(upload, chunk)
        self._pending[upload.id] = upload
        upload.used_at = now
        if chunk.offset == len(upload.data):
            upload.data += chunk.data
        return upload

    def drop(self, upload: Pending) -> None:
        """Forget an upload."""
        self._pending.pop(upload.id, None)

    def expire(self, now: float) -> float | None:
        """Forget what nobody goes on with; return when to look again, `None` if nothing is left."""
        for upload in [one for one in self._pending.values() if one.used_at + IDLE_S <= now]:
            self.drop(upload)
        return min((one.used_at + IDLE_S for one in self._pending.values()), default=None)

    def _begun(self, chunk: Upload, *, fresh_id: str, now: float) -> Pending:
        if chunk.upload_id is None:
            if len(self._pending) >= MAX_UPLOADS:
                raise _saturated(f"{MAX_UPLOADS} uploads are under way")
            return Pending(fresh_id, chunk.kind, chunk.name, chunk.duration_ms, now, bytearray())
        upload = self._pending.get(chunk.upload_id)
        if upload is None:
            raise bad("`upload_id`: no such upload, or too long ago, or another process: begin at 0 again")
        return upload

    def _check(self, upload: Pending, chunk: Upload) -> None:
        have, ends_at = len(upload.data), chunk.offset + len(chunk.data)
        if chunk.offset != have and ends_at > have:
            raise bad(f"`offset`: the next byte is {have}, not {chunk.offset}")
        if ends_at > most_bytes(upload.kind):
            self.drop(upload)
            raise bad(f"`data`: Lark takes no {upload.kind} over {most_bytes(upload.kind)} bytes")
        if chunk.last and not ends_at:
            raise bad("`data` is empty")
        if sum(len(one.data) for one in self._pending.values()) + len(chunk.data) > MAX_BYTES:
            raise _saturated(f"the uploads under way hold {MAX_BYTES} bytes")


def _saturated(message: str) -> CommandError:
    return CommandError(RetCode.SATURATED, message, retryable=True, retry_after_ms=_RETRY_MS)
