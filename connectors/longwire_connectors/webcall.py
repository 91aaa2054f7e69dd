"""One HTTP call, blocking, bounded, and cheap in memory: for the few calls that the SDKs make to connect.

Over the standard library instead of `requests`, which the SDKs use: what a forked child executes it copies,
page by page, and a first `requests.post` copies 5 MB, this 2. What `requests` does for an operator is kept:
proxies and certificates come from the environment. Redirects are not followed: they would carry secrets
elsewhere.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from contextlib import suppress
from email.message import Message
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Any, cast
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
    getproxies,
    proxy_bypass,
)

import msgspec

from longwire_protocol.version import __version__

CONNECT_S = 3.0
"""For each address of a host: the first ones may be a broken IPv6."""
SILENCE_S = 10.0
"""Between two bytes of the answer. The SDKs' own calls have no bound and hung for three days
(oapi-sdk-python#169); dingtalk-stream has this one from 0.24.4 on."""
MAX_BODY_BYTES = 64 * 1024
"""The answers are some hundred bytes."""

_CHUNK_BYTES = 4096
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
USER_AGENT = f"longwire/{__version__}"


class Reply(msgspec.Struct, frozen=True):
    """What was answered, whatever the status."""

    status: int
    headers: Message
    body: bytes
    """Its beginning, where it was too long or took too long."""


def prepare() -> None:
    """Read proxies and certificates now, once for all processes that are forked from this one."""
    with suppress(OSError):  # each call will tell
        _opener()


def call(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] = MappingProxyType({}),
    body: bytes | None = None,
    json: Any = None,
) -> Reply:
    """Return the answer; blocks for `SILENCE_S` at a time, so run it in a thread.

    Args:
        method: of HTTP.
        url: http or https.
        headers: besides the usual ones, which they replace.
        body: what is sent.
        json: what is sent as JSON, instead of a body.

    Raises:
        TimeoutError: it took too long.
        OSError: the network's other errors, or an answer that is no HTTP.
        ValueError: not a URL.
    """
    said = {"Accept": "*/*", "User-Agent": USER_AGENT, **headers}
    if json is not None:
        body, said = msgspec.json.encode(json), {"Content-Type": "application/json", **said}
    request = Request(url, data=body, headers=said, method=method)  # noqa: S310  the scheme is looked at below
    if request.type not in {"http", "https"}:
        raise ValueError(f"not an HTTP URL: {request.type}")
    try:
        with cast("HTTPResponse", _opener().open(request, timeout=SILENCE_S)) as response:
            return Reply(response.status, response.headers, _read(response))
    except URLError as error:
        if isinstance(error.reason, OSError):
            raise error.reason from error
        raise
    except HTTPException as error:
        raise ConnectionError(f"the answer cannot be read: {type(error).__name__}") from error


@cache
def trust() -> ssl.SSLContext:
    """Return what TLS connections trust: the system's certificates, and those `requests` is told of.

    One for the process, and for those forked from it: loading the certificates takes a megabyte and 20 ms.

    Raises:
        OSError: what the environment names cannot be read.
    """
    context = ssl.create_default_context()
    for bundle in filter(None, map(os.environ.get, _BUNDLES)):
        if Path(bundle).is_dir():
            context.load_verify_locations(capath=bundle)
        else:
            context.load_verify_locations(cafile=bundle)
        break
    return context


def tls(uri: str) -> dict[str, Any]:
    """Return what `websockets.connect` is to be told of TLS for an address."""
    return {"ssl": trust()} if uri.startswith("wss:") else {}


def proxy_for(url: str) -> str | None:
    """Return the URL of the environment's proxy for an address, if it names one for it."""
    parts = urlsplit(url)
    proxy = _proxies().get(parts.scheme)
    if proxy is None or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


@cache
def _proxies() -> dict[str, str]:
    proxies = getproxies()
    if "all" in proxies:
        proxies = {"http": proxies["all"], "https": proxies["all"], **proxies}
    return proxies


@cache
def _opener() -> OpenerDirector:
    """Return urllib's machinery without redirects, cookies, passwords, and errors for statuses."""
    opener = OpenerDirector()
    for handler in (ProxyHandler(_proxies()), _Http(), _Https(context=trust()), UnknownHandler()):
        opener.add_handler(handler)
    return opener


class _Bounded(HTTPConnection):
    """Connects within `CONNECT_S`, and waits longer afterwards."""

    def connect(self) -> None:
        silence_s, self.timeout = self.timeout, CONNECT_S
        super().connect()
        self.timeout = silence_s
        self.sock.settimeout(silence_s)


class _BoundedTls(_Bounded, HTTPSConnection):
    pass


class _Http(HTTPHandler):
    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_Bounded, req)


class _Https(HTTPSHandler):
    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_BoundedTls, req, context=trust())


def _read(response: HTTPResponse) -> bytes:
    body, ends_at = b"", monotonic() + SILENCE_S
    while chunk := response.read1(_CHUNK_BYTES):
        body += chunk
        if len(body) > MAX_BODY_BYTES or monotonic() > ends_at:
            break
    return body
