"""Moves media between client and platform, chunk by chunk; see `media` and `uploads` for the rules."""

from __future__ import annotations

from typing import Any

from longwire_connectors.lark.api import Api, unreadable
from longwire_connectors.lark.media import MOST_BYTES, Download, Upload, upload_form
from longwire_connectors.lark.outgoing import read_params
from longwire_connectors.ranges import told
from longwire_connectors.uploading import Uploading
from longwire_connectors.uploads import Pending


class Transfers:
    """The transfers of one child. Used on one loop."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._uploading = Uploading[Upload](MOST_BYTES, self._send)

    async def upload(self, given: dict[str, Any]) -> dict[str, Any]:
        """Take a piece; see `Uploading.take`."""
        return await self._uploading.take(read_params(given, Upload))

    async def download(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return a part of a resource: `{data, offset, size, last, mime}`; `size` is None if not told."""
        asked = read_params(given, Download)
        return told(await self._api.fetch(asked), asked)

    def close(self) -> None:
        """Look after nothing any more."""
        self._uploading.close()

    async def _send(self, upload: Pending[Upload]) -> str:
        about = upload.about
        path, fields = upload_form(about.kind, name=about.name, duration_ms=about.duration_ms)
        field = "image" if about.kind == "image" else "file"
        match await self._api.upload(path, fields, name=field, data=bytes(upload.data)):
            case {"data": {"image_key": str(key)}} | {"data": {"file_key": str(key)}}:
                return key
            case _:
                raise unreadable("key of what was uploaded")
