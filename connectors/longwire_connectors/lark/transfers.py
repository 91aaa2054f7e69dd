"""Moves media between client and platform, chunk by chunk; see `media` and `uploads` for the rules."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from longwire_connectors.lark.api import Api, unreadable
from longwire_connectors.lark.media import (
    Download,
    read_upload,
    upload_form,
)
from longwire_connectors.lark.outgoing import read_params
from longwire_connectors.lark.uploads import Pending, Uploads
from longwire_protocol.errors import CommandError


class Transfers:
    """The transfers of one child. Used on one loop."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._uploads = Uploads()
        self._alarm: asyncio.TimerHandle | None = None

    async def upload(self, given: dict[str, Any]) -> dict[str, Any]:
        """Take a chunk; with the last one give the whole to the platform.

        Returns:
            `{upload_id, offset}`, where the next chunk begins; with the last `{id, kind, name, size}`.

        Raises:
            CommandError: BAD_PARAM, SATURATED, or one of the PLATFORM codes. After a `retryable` one the last
                chunk may be sent again.
        """
        chunk = read_upload(given)
        upload = self._uploads.take(chunk, fresh_id=str(uuid.uuid4()), now=_now())
        self._look_again()
        if not chunk.last:
            return {"upload_id": upload.id, "offset": len(upload.data)}
        try:
            resource = await self._send(upload)
        except CommandError as error:
            if not error.retryable or chunk.upload_id is None:  # nobody knows its id to send it again
                self._uploads.drop(upload)
            raise
        except asyncio.CancelledError:
            self._uploads.drop(upload)
            raise
        self._uploads.drop(upload)
        return resource

    async def download(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return a part of a resource: `{data, offset, size, last, mime}`; `size` is None if not told."""
        asked = read_params(given, Download)
        fetched = await self._api.fetch(asked)
        ends_at = asked.offset + len(fetched.data)
        is_short = len(fetched.data) < asked.length
        return {
            "data": fetched.data,
            "offset": asked.offset,
            "size": fetched.size,
            "last": is_short or ends_at == fetched.size,
            "mime": fetched.mime,
        }

    def close(self) -> None:
        """Forget everything."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._uploads = Uploads()

    async def _send(self, upload: Pending) -> dict[str, Any]:
        path, fields = upload_form(upload.kind, name=upload.name, duration_ms=upload.duration_ms)
        is_image = upload.kind == "image"
        answer = await self._api.upload(
            path, fields, name="image" if is_image else "file", data=bytes(upload.data)
        )
        match answer:
            case {"data": {"image_key": str(key)}} | {"data": {"file_key": str(key)}}:
                return {"id": key, "kind": upload.kind, "name": upload.name, "size": len(upload.data)}
            case _:
                raise unreadable("key of what was uploaded")

    def _look_again(self) -> None:
        """Have what is forgotten by its client go by itself."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        now = _now()
        next_at = self._uploads.expire(now)
        if next_at is not None:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(next_at - now, self._look_again)


def _now() -> float:
    return asyncio.get_running_loop().time()
