"""The keys of a Lark account."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

import msgspec

NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]


class LarkOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the operator gives for `connector = "lark"`."""

    app_id: NonEmpty
    """App ID of the self-built app, `cli_...`, from the developer console."""
    app_secret: NonEmpty
    """App Secret of the app."""
    domain: str = "https://open.feishu.cn"
    """Where the app is registered: Feishu, or https://open.larksuite.com for Lark; or a simulator's
    `http://127.0.0.1:PORT`. The default is the platform the SDK defaults to."""

    def __post_init__(self) -> None:
        problem = _problem_of(self.domain)
        if problem:
            raise ValueError(f"domain {problem}, as https://open.feishu.cn; it is {self.domain!r}")

    @property
    def base(self) -> str:
        """`domain` without a slash at its end."""
        return self.domain.rstrip("/")


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
