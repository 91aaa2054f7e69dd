"""Reading JSON requests and writing JSON answers, whatever the Content-Type says."""

import asyncio
import urllib.parse
from typing import TypeVar

import msgspec
from aiohttp import web

__all__ = ["MAX_BODY_BYTES", "hang", "json_answer", "path_part", "query", "read_body", "read_object"]

T = TypeVar("T")
MAX_BODY_BYTES = 64 * 2**20
"""Larger requests are refused; the admin plane takes events of several MiB."""


async def read_body(request: web.Request, model: type[T]) -> T:
    """Return the request's JSON as ``model``; msgspec.DecodeError or ValidationError if it is not that.

    The header is not looked at: the Lark SDK sends JSON without a Content-Type.
    """
    return msgspec.json.decode(await request.read() or b"{}", type=model)


async def read_object(request: web.Request) -> dict[str, object]:
    """Return the request's JSON object as it is."""
    return await read_body(request, dict[str, object])


def json_answer(body: object, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return an answer that carries ``body`` as JSON."""
    return web.Response(
        body=msgspec.json.encode(body), status=status, headers=headers, content_type="application/json"
    )


async def hang(stopping: asyncio.Event) -> web.Response:
    """Answer nothing until the client leaves (then this is cancelled) or the simulator stops."""
    await stopping.wait()
    return web.Response(status=503)


def query(**values: str | int) -> str:
    """Return a query string."""
    return urllib.parse.urlencode(values)


def path_part(request: web.Request, name: str) -> str:
    """Return a variable part of the request's path."""
    return request.match_info[name]
