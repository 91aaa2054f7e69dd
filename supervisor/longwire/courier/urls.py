"""Where events may be posted by its URL: a target's own, or one that a redirect names. Pure.

What a host's name stands for is not known here; that is looked at when it is connected to (`connecting`). The
rules are narrow because URL parsers differ: what two of them read differently is refused.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from longwire.courier import addresses

MAX_URL_CHARS: Final = 2048
"""What every server and proxy takes."""

_CHARACTERS: Final = re.compile(r"[!#-;=?-\[\]_a-z~]+")
"""Printable ASCII but for what RFC 3986 has nowhere in a URL: space, backslash, backquote, quotes, <>^{|}."""
_LABEL: Final = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST: Final = re.compile(rf"(?=.{{1,254}}\Z)({_LABEL}\.)*{_LABEL}\.?")


def origin(url: str) -> str:
    """Return what of a URL may be shown: many hide their secret in the path."""
    parts = _split(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts is not None else "no URL"


def problem(url: str, *, allow_http: bool, allow_private: bool) -> str | None:
    """Return why nothing may be posted to a URL, in words that do not hold it; `None` if it may be."""
    if len(url) > MAX_URL_CHARS:
        return f"at most {MAX_URL_CHARS} characters"
    if _CHARACTERS.fullmatch(url) is None:
        return "printable ASCII without spaces: percent-encode the path, write the host as xn--..."
    parts = _split(url)
    if parts is None or not parts.netloc:
        return "must be https://HOST[:PORT]/PATH"
    return _part_problem(parts, allow_http=allow_http) or _host_problem(parts, allow_private=allow_private)


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  raises where it is no number
    except ValueError:
        return None
    return parts


def _part_problem(parts: SplitResult, *, allow_http: bool) -> str | None:
    if parts.scheme == "http" and not allow_http:
        return "must be https://; http:// needs allow_http"
    if parts.scheme not in {"http", "https"}:
        return "must be https://HOST[:PORT]/PATH"
    if "@" in parts.netloc:
        return "must not hold a user or password: use headers"
    if parts.fragment:
        return "must not have a fragment, which is never sent"
    if parts.port == 0:
        return "0 is no port"
    return None


def _host_problem(parts: SplitResult, *, allow_private: bool) -> str | None:
    host = parts.hostname or ""
    address = addresses.literal(host)
    is_name = address is None and "[" not in parts.netloc and _HOST.fullmatch(host) is not None
    if is_name:
        return None
    if address is None or "%" in host:  # a zone names an interface of this machine
        return "has no usable host"
    if address.version == 4 and str(address) != host:  # noqa: PLR2004  odd spellings are IPv4's
        return f"write the address as {address}"
    if not allow_private and not addresses.is_public(address):
        return f"{address} is not a public address, and allow_private is not set"
    return None
