"""The keys of a DingTalk account."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

import msgspec

NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]


class DingTalkOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the operator gives for `connector = "dingtalk"`."""

    client_id: NonEmpty
    """Client ID (formerly AppKey) of the app, from DingTalk's developer console."""
    client_secret: NonEmpty
    """Client Secret (formerly AppSecret) of the app."""
    api_base: str = "https://api.dingtalk.com"
    """Where DingTalk's API is; another one for a proxy, or a simulator's `http://127.0.0.1:PORT`."""

    def __post_init__(self) -> None:
        problem = _problem_of(self.api_base)
        if problem:
            raise ValueError(f"api_base {problem}, as https://api.dingtalk.com; it is {self.api_base!r}")

    @property
    def base(self) -> str:
        """`api_base` without a slash at its end."""
        return self.api_base.rstrip("/")


def _problem_of(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number, a broken IPv6 address
        return "must be a URL with a valid host and port"
    if parts.scheme not in ("http", "https") or not has_host:
        return "must be an http or https URL with a host"
    if parts.username is not None or parts.query or parts.fragment:
        return "must be a URL without user, query and fragment"
    return None
