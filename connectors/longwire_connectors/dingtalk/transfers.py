"""Moves files between client and platform, piece by piece."""

from __future__ import annotations

from typing import Any

from longwire_connectors import uploads
from longwire_connectors.dingtalk import calls
from longwire_connectors.dingtalk.calls import Request
from longwire_connectors.dingtalk.errors import HTTP_OK, Answer, command_refused, command_unreadable
from longwire_connectors.dingtalk.openapi import OpenApi
from longwire_connectors.dingtalk.params import read, require
from longwire_connectors.dingtalk.supported import MOST_BYTES
from longwire_connectors.dingtalk.webhooks import is_usable
from longwire_connectors.http import Part
from longwire_connectors.ranges import Fetched, fetched_of, range_header, told
from longwire_connectors.unanswered import SERVER_ERROR, unanswered
from longwire_connectors.uploading import Uploading
from longwire_connectors.uploads import Pending, Upload

DOWNLOAD_BYTES = 512 * 1024 * 1024
"""The longest file that is read to its end; people send large ones."""
DOWNLOAD_S = 60.0
"""For one piece, where what stands before it must be skipped."""

_TYPES = {"audio": "voice"}
_NAMES = {"image": "image.png", "audio": "audio.amr", "video": "video.mp4", "file": "file"}
_PATH = "/media/upload"
_HTTP_PARTIAL = 206
_HTTP_BEYOND = 416


class Download(uploads.Download, forbid_unknown_fields=True, kw_only=True):
    """The parameters of `media.download`; DingTalk finds a file without its message."""

    message_id: str | None = None


class Transfers:
    """The transfers of one account. Used on one loop.

    Args:
        api: for uploads, and for where a file lies; the file itself is fetched without the app's token.
        allows_http: take a file's address over plain HTTP to this machine, for a simulator.
    """

    def __init__(self, api: OpenApi, *, allows_http: bool) -> None:
        self._api = api
        self._allows_http = allows_http
        self._uploading = Uploading[Upload](MOST_BYTES, self._send)

    async def upload(self, given: dict[str, Any]) -> dict[str, Any]:
        """Take a piece; see `Uploading.take`."""
        return await self._uploading.take(read(given, Upload))

    async def download(self, given: dict[str, Any], *, robot_code: str) -> dict[str, Any]:
        """Return a part of a file that came with a message: `{data, offset, size, last, mime}`.

        `size` and `mime` are `None` where they are not told.

        Raises:
            CommandError: `BAD_PARAM`, or what the platform said.
        """
        asked = read(given, Download)
        code = require(asked.resource, "resource")
        found = await self._api.call(calls.find_file(code, robot_code=robot_code))
        url = found.get("downloadUrl")
        if not isinstance(url, str) or not is_usable(url, allows_http=self._allows_http):
            raise command_unreadable(is_harmless=True)
        return told(await self._fetch(url, asked), asked)

    def close(self) -> None:
        """Look after nothing any more."""
        self._uploading.close()

    async def _send(self, upload: Pending[Upload]) -> str:
        about = upload.about
        kind = _TYPES.get(about.kind, about.kind)
        # Asked twice, a second copy lies at the platform that nobody names: no harm is done.
        request = Request(_PATH, query={"type": kind}, is_harmless=True)
        name = about.name or _NAMES[about.kind]
        parts = (Part("type", kind), Part("media", bytes(upload.data), filename=name))
        answer = await self._api.call(request, parts=parts)
        file_id = answer.get("media_id")
        if not isinstance(file_id, str) or not file_id:
            raise command_unreadable(is_harmless=True)
        return file_id

    async def _fetch(self, url: str, asked: Download) -> Fetched:
        async with self._api.http.stream(
            "GET", url, headers={"Range": range_header(asked)}, max_bytes=DOWNLOAD_BYTES, total_s=DOWNLOAD_S
        ) as answer:
            if answer.status == _HTTP_BEYOND:
                return Fetched()
            if answer.status >= SERVER_ERROR:
                raise unanswered("the file's host failed", was_sent=True, is_harmless=True)
            if answer.status not in {HTTP_OK, _HTTP_PARTIAL}:
                raise command_refused(Answer(answer.status, b""))
            return await fetched_of(answer, asked)
