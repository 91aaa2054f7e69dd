"""Lark's uploads and downloads (documents im-v1/image, im-v1/file, im-v1/message-resource)."""

import re
import secrets

from aiohttp import web
from aiohttp.multipart import BodyPartReader

from longwire_connectors.simulator.answers import path_part
from longwire_connectors.simulator.fault_kinds import LarkNoRanges
from longwire_connectors.simulator.lark_gate import Json, LarkGate, Refusal, refuse

__all__ = ["LarkMedia"]

IMAGE_BYTES, FILE_BYTES = 10 * 2**20, 30 * 2**20
TOO_LARGE = 234006
EMPTY = 234010
NO_RESOURCE = 234003
"""«File not in msg»."""
MAX_KEPT_BYTES = 256 * 2**20
FILE_TYPES = frozenset({"opus", "mp4", "pdf", "doc", "xls", "ppt", "stream"})
SIMULATED = b"longwire simulator " * 8192
"""What is behind the keys of injected messages."""

_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{1,15})", re.ASCII)


class LarkMedia:
    """Keeps what was uploaded, the newest of it."""

    def __init__(self, gate: LarkGate) -> None:
        self._gate = gate
        self._kept: dict[str, tuple[bytes, str]] = {}
        """Bytes and MIME type by key."""

    def routes(self) -> list[web.RouteDef]:
        """Return what this answers to."""
        resource = "/open-apis/im/v1/messages/{message_id}/resources/{file_key}"
        return [
            web.post("/open-apis/im/v1/images", self._image),
            web.post("/open-apis/im/v1/files", self._file),
            web.get(resource, self._download),
        ]

    async def _image(self, request: web.Request) -> web.StreamResponse:
        async def act(_: str, __: Json) -> Json:
            fields = await _form(request)
            if fields.get("image_type") not in (b"message", b"avatar"):
                raise refuse("image_type")
            return {
                "image_key": self._keep("img_v3_", fields.get("image"), most=IMAGE_BYTES, mime="image/png")
            }

        return await self._gate.serve(request, call="image", target="", act=act, is_json=False)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        async def act(_: str, __: Json) -> Json:
            fields = await _form(request)
            if fields.get("file_type", b"").decode() not in FILE_TYPES or not fields.get("file_name"):
                raise refuse("file_type, file_name")
            key = self._keep("file_v3_", fields.get("file"), most=FILE_BYTES, mime="application/octet-stream")
            return {"file_key": key}

        return await self._gate.serve(request, call="file", target="", act=act, is_json=False)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        target = path_part(request, "file_key")

        async def act(app: str, _: Json) -> web.StreamResponse:
            is_injected = target.endswith("_0000_simulated")
            kept = self._kept.get(target, (SIMULATED, "application/octet-stream") if is_injected else None)
            if kept is None or request.query.get("type") not in ("image", "file"):
                raise Refusal(NO_RESOURCE, "File not in msg.")
            has_ranges = self._gate.platform.fault(LarkNoRanges, app) is None
            return _part(request.headers.get("Range", "") if has_ranges else "", *kept)

        return await self._gate.serve(request, call="download", target=target, act=act, is_json=False)

    def _keep(self, prefix: str, data: bytes | None, *, most: int, mime: str) -> str:
        if not data:
            raise Refusal(EMPTY, "File's size can't be 0.")
        if len(data) > most:
            raise Refusal(TOO_LARGE, "The file size exceeds the maximum value.")
        key = f"{prefix}{secrets.token_hex(16)}"
        self._kept[key] = (data, mime)
        while sum(len(kept) for kept, _ in self._kept.values()) > MAX_KEPT_BYTES:
            del self._kept[next(iter(self._kept))]
        return key


async def _form(request: web.Request) -> dict[str, bytes]:
    """Return the fields of a multipart form."""
    fields: dict[str, bytes] = {}
    async for part in await request.multipart():
        if isinstance(part, BodyPartReader):
            fields[part.name or ""] = bytes(await part.read())
    return fields


def _part(wanted: str, data: bytes, mime: str) -> web.Response:
    """Return the bytes that a header ``Range`` asks for, or all of them."""
    found = _RANGE.fullmatch(wanted)
    if found is None:
        return web.Response(body=data, content_type=mime)
    first, last = int(found[1]), min(int(found[2]), len(data) - 1)
    if first > last:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
    headers = {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
    return web.Response(status=206, body=data[first : last + 1], content_type=mime, headers=headers)
