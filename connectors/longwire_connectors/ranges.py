"""The part of a file that `media.download` asks for: how a host is asked, and what of its answer that is."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final, Protocol

import msgspec

from longwire_connectors.uploads import Download

_PARTIAL: Final = 206
_RANGE = re.compile(r"bytes (?P<first>\d{1,15})-\d{1,15}/(?P<size>\d{1,15})", re.ASCII)


class Body(Protocol):
    """An answer that is read while it comes: `http.Download`."""

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> AsyncGenerator[bytes]:
        """Give the body in pieces, once."""
        ...


class Slice(msgspec.Struct, frozen=True):
    """Where an answer's body begins within the file, and how long that is, if the answer says it."""

    first: int
    size: int | None


class Fetched(msgspec.Struct, frozen=True):
    """A part of a file."""

    data: bytes = b""
    size: int | None = None
    """Of the whole, where the platform says it."""
    mime: str | None = None


def range_header(asked: Download) -> str:
    """Return the header `Range` for what is asked."""
    return f"bytes={asked.offset}-{asked.offset + asked.length - 1}"


def slice_of(headers: Mapping[str, str], *, is_partial: bool) -> Slice:
    """Return what part an answer is: the whole, where the host, or a proxy before it, knows no ranges."""
    if is_partial:
        found = _RANGE.fullmatch(headers.get("Content-Range", ""))
        return Slice(int(found["first"]), int(found["size"])) if found else Slice(0, None)
    length = headers.get("Content-Length", "")
    return Slice(0, int(length) if length.isascii() and length.isdigit() else None)


async def fetched_of(answer: Body, asked: Download) -> Fetched:
    """Read what was asked for; what stands before it is skipped, and the rest is not waited for."""
    part = slice_of(answer.headers, is_partial=answer.status == _PARTIAL)
    data, at, end = bytearray(), part.first, asked.offset + asked.length
    async with aclosing(answer.chunks()) as chunks:
        async for chunk in chunks:
            data += chunk[max(0, asked.offset - at) : max(0, end - at)]
            at += len(chunk)
            if at >= end:
                break
    return Fetched(bytes(data), part.size, answer.headers.get("Content-Type"))


def told(fetched: Fetched, asked: Download) -> dict[str, Any]:
    """Return the data of `media.download`; `size` and `mime` are `None` where they are not told."""
    ends_at = asked.offset + len(fetched.data)
    return {
        "data": fetched.data,
        "offset": asked.offset,
        "size": fetched.size,
        "last": len(fetched.data) < asked.length or ends_at == fetched.size,
        "mime": fetched.mime,
    }
