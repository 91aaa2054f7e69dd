"""DingTalk's files: uploads to the old host, and what people sent; and some calls that are echoed."""

import hashlib
import secrets

from aiohttp import web
from aiohttp.multipart import BodyPartReader

from longwire_connectors.simulator.answers import json_answer
from longwire_connectors.simulator.dingtalk_desk import Desk, Json, error, read_json, refused
from longwire_connectors.simulator.tickets import ExpiringTable

__all__ = ["DingTalkMedia", "file_of"]

MIB = 1024 * 1024
MOST_BYTES = {"image": 20 * MIB, "voice": 2 * MIB, "video": 20 * MIB, "file": 20 * MIB}
BAD_TYPE, BAD_SIZE = 40004, 40006
"""errcodes of the old host: not a kind of file; too large."""
FILE_BYTES = 3 * MIB + 17
"""How long each file is that people send: more than one piece, and no round number."""
LINK_S = 900.0
"""For how long an address of a file is good. Not established."""


class DingTalkMedia:
    """Answers for files. The content of each is made from its code, so that a test can check it."""

    def __init__(self, desk: Desk, *, host: str) -> None:
        self._desk = desk
        self._platform = desk.platform
        self._host = host
        self._links: ExpiringTable[str] = ExpiringTable()

    def routes(self) -> list[web.RouteDef]:
        """Return what is answered here; the last two stand for the rest of the API."""
        return [
            web.post("/media/upload", self.upload),
            web.post("/v1.0/robot/messageFiles/download", self.find),
            web.get("/dingtalk-files/{link}", self.give),
            web.route("*", "/v1.0/contact/{rest:.+}", self.echo),
            web.route("*", "/topapi/{rest:.+}", self.echo_old),
        ]

    async def upload(self, request: web.Request) -> web.Response:
        """Take a multipart form with a `media`; nothing of it is kept but its length and digest."""
        app = await self._desk.enter(request, call="upload", is_old=True)
        if isinstance(app, web.Response):
            return app
        kind = request.query.get("type", "")
        if kind not in MOST_BYTES:
            return json_answer(error(BAD_TYPE, "不合法的媒体文件类型"))
        name, size, digest = await _read_media(request)
        if not 0 < size <= MOST_BYTES[kind]:
            return json_answer(error(BAD_SIZE, "不合法的文件大小"))
        media_id = f"@lAD{secrets.token_urlsafe(16)}"
        taken: Json = {"type": kind, "name": name, "size": size, "sha256": digest, "media_id": media_id}
        self._desk.record(app, "upload", target=media_id, body=taken)
        created = int(self._platform.clock.now() * 1000)
        return json_answer({**error(0, "ok"), "type": kind, "media_id": media_id, "created_at": created})

    async def find(self, request: web.Request) -> web.Response:
        """Answer ``messageFiles/download`` with an address that needs no token."""
        body = await read_json(request)
        app = await self._desk.enter(request, call="download")
        if isinstance(app, web.Response):
            return app
        code = body.get("downloadCode")
        if not isinstance(code, str) or not code or "robotCode" not in body:
            return refused("invalidParameter", "downloadCode or robotCode is missing")
        self._desk.record(app, "download", target=code, body=body)
        link = secrets.token_hex(16)
        self._platform.given_out.append(link)
        self._links.put(link, value=code, expires_at=self._platform.clock.now() + LINK_S)
        return json_answer({"downloadUrl": f"http://{self._host}/dingtalk-files/{link}"})

    async def give(self, request: web.Request) -> web.Response:
        """Give a file, or a range of it; `?whole` in its code's name gives all of it in any case."""
        code = self._links.get(request.match_info["link"], now=self._platform.clock.now())
        if code is None:
            return web.Response(status=403)
        content = file_of(code)
        wanted = request.http_range
        if wanted.start is None or code.startswith("whole"):
            return web.Response(body=content)
        if wanted.start >= len(content):
            return web.Response(status=416)
        part = content[wanted]
        end = wanted.start + len(part) - 1
        where = {"Content-Range": f"bytes {wanted.start}-{end}/{len(content)}"}
        return web.Response(status=206, body=part, headers=where)

    async def echo(self, request: web.Request) -> web.Response:
        """Answer a call of the new host that is not simulated with what was asked."""
        return await self._echo(request, is_old=False)

    async def echo_old(self, request: web.Request) -> web.Response:
        """Likewise of the old host, with its errcode."""
        return await self._echo(request, is_old=True)

    async def _echo(self, request: web.Request, *, is_old: bool) -> web.Response:
        app = await self._desk.enter(request, call="other", is_old=is_old)
        if isinstance(app, web.Response):
            return app
        body = await read_json(request)
        self._desk.record(app, "other", target=request.path, body=body)
        query = {name: value for name, value in request.query.items() if name != "access_token"}
        told = {"path": request.path, "method": request.method, "query": query, "body": body}
        return json_answer({**(error(0, "ok") if is_old else {}), "asked": told})


def file_of(code: str) -> bytes:
    """Return the content of the file with a code."""
    block = hashlib.sha256(code.encode()).digest()
    return (block * (FILE_BYTES // len(block) + 1))[:FILE_BYTES]


async def _read_media(request: web.Request) -> tuple[str, int, str]:
    """Return name, length and digest of the form's `media`."""
    if not request.content_type.startswith("multipart/"):
        return "", 0, ""
    async for part in await request.multipart():
        if isinstance(part, BodyPartReader) and part.name == "media":
            digest, size = hashlib.sha256(), 0
            while chunk := await part.read_chunk():
                digest.update(chunk)
                size += len(chunk)
            return part.filename or "", size, digest.hexdigest()
    return "", 0, ""
