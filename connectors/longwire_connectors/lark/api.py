"""What the commands ask of Lark's REST API, and how that is asked over `openapi`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from longwire_connectors.http import Part
from longwire_connectors.lark.media import DOWNLOAD_BYTES, Download, download_request
from longwire_connectors.lark.openapi import OpenApi
from longwire_connectors.lark.outgoing import Request
from longwire_connectors.lark.refusals import code_of
from longwire_connectors.ranges import Fetched, fetched_of, range_header
from longwire_connectors.unanswered import unanswered
from longwire_protocol.errors import CommandError

__all__ = ["Api", "LarkApi", "unreadable"]

UPLOAD_S: Final = 120.0
"""For a whole file: 30 MB at 2 Mbit/s. The command's own deadline may be shorter."""
DOWNLOAD_S: Final = 60.0
"""For one chunk; where the platform does not know ranges, for all before it, too."""
_BEHIND_THE_END: Final = 416


class Api(Protocol):
    """Calls Lark in the name of one app. Each method raises CommandError as `OpenApi` says."""

    async def ask(self, request: Request) -> dict[str, Any]:
        """Make a call and return the whole answer, whose `code` is 0."""
        ...

    async def upload(self, path: str, fields: Mapping[str, str], *, name: str, data: bytes) -> dict[str, Any]:
        """Send a form with a file, `name` being the field's, and return the whole answer."""
        ...

    async def fetch(self, asked: Download) -> Fetched:
        """Fetch a part of a resource; empty behind its end."""
        ...


class LarkApi:
    """The `Api` over HTTP."""

    def __init__(self, openapi: OpenApi) -> None:
        self._openapi = openapi

    async def ask(self, request: Request) -> dict[str, Any]:
        """See `Api.ask`."""
        return await self._openapi.request(
            request.method,
            request.path,
            query=request.query,
            body=request.body,
            is_harmless=request.is_harmless,
        )

    async def upload(self, path: str, fields: Mapping[str, str], *, name: str, data: bytes) -> dict[str, Any]:
        """See `Api.upload`. Done twice it leaves a file that nobody knows of, and the platform forgets it."""
        parts = [Part(field, value) for field, value in fields.items()]
        file_name = fields.get("file_name", name)
        parts.append(Part(name, data, filename=file_name, content_type="application/octet-stream"))
        return await self._openapi.request("POST", path, parts=parts, total_s=UPLOAD_S, is_harmless=True)

    async def fetch(self, asked: Download) -> Fetched:
        """See `Api.fetch`."""
        request = download_request(asked)
        try:
            async with self._openapi.download(
                request.path,
                query=request.query,
                headers={"Range": range_header(asked)},
                max_bytes=DOWNLOAD_BYTES,
                total_s=DOWNLOAD_S,
            ) as download:
                return await fetched_of(download, asked)
        except CommandError as error:
            if code_of(error) != _BEHIND_THE_END:
                raise
            return Fetched()


def unreadable(what: str) -> CommandError:
    """Return the error for a success that lacks what was asked for."""
    return unanswered(f"Lark's answer has no {what}", was_sent=True, is_harmless=False)
