"""Uploads at the edge, for every platform: takes their pieces, has the whole sent, forgets the forgotten."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic

from longwire_connectors.uploads import P, Pending, Uploads
from longwire_protocol.errors import CommandError


class Uploading(Generic[P]):
    """The uploads of one child. Used on one loop.

    Args:
        most_bytes: the largest file the platform takes, by kind.
        send: gives a whole file to the platform and returns the platform's id of it; raises CommandError.
    """

    def __init__(self, most_bytes: Mapping[str, int], send: Callable[[Pending[P]], Awaitable[str]]) -> None:
        self._uploads: Uploads[P] = Uploads(most_bytes)
        self._send = send
        self._alarm: asyncio.TimerHandle | None = None

    async def take(self, piece: P) -> dict[str, Any]:
        """Take a piece; with the last one give the whole to the platform.

        Returns:
            `{upload_id, offset}`, where the next piece begins; at the end `{id, kind, name, size}`.

        Raises:
            CommandError: `BAD_PARAM`, `SATURATED`, or what the platform said. After one that is `retryable`
                the last piece may be sent again.
        """
        upload = self._uploads.take(piece, fresh_id=str(uuid.uuid4()), now=_now())
        self._look_again()
        if not piece.last:
            return {"upload_id": upload.id, "offset": len(upload.data)}
        file_id = await self._whole(upload, is_named=piece.upload_id is not None)
        about = upload.about
        return {"id": file_id, "kind": about.kind, "name": about.name, "size": len(upload.data)}

    def close(self) -> None:
        """Look after nothing any more."""
        if self._alarm is not None:
            self._alarm.cancel()

    async def _whole(self, upload: Pending[P], *, is_named: bool) -> str:
        """Send a file; it stays for another try only where its client knows its id."""
        is_kept = False
        upload.is_being_sent = True
        try:
            return await self._send(upload)
        except CommandError as error:
            is_kept = error.retryable and is_named
            raise
        finally:
            upload.is_being_sent, upload.used_at = False, _now()
            if not is_kept:
                self._uploads.drop(upload)
            self._look_again()

    def _look_again(self) -> None:
        """Have what is forgotten by its client go by itself."""
        self.close()
        now = _now()
        next_at = self._uploads.expire(now)
        if next_at is not None:
            self._alarm = asyncio.get_running_loop().call_later(next_at - now, self._look_again)


def _now() -> float:
    return asyncio.get_running_loop().time()
