"""Secrets out of texts: applied by every child to what it logs, and by the parent once more.

The SDKs log whole connection URLs and credentials (lark-oapi `ws/client.py` 230 and 436, dingtalk-stream
`stream.py` 71), so patterns catch what the platforms call capabilities, and exact values catch the
account's own secrets wherever they turn up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

REDACTED = "[redacted]"

_NAMES = (
    "ticket",
    "access_key",
    "access[_-]?token",
    "tenant_access_token",
    "app_access_token",
    "app_?secret",
    "client_?secret",
    "client_?assertion",
    "session_?webhook",
    "x-acs-dingtalk-access-token",
)

_NAMED = re.compile(
    rf"""(?P<name>\b(?:{"|".join(_NAMES)})\\?["']?\s*[=:]\s*\\?["']?)(?P<value>[^\s"'&,;}}\\]+)""",
    re.IGNORECASE,
)
_SESSION = re.compile(r"(?P<name>/robot/send(?:BySession)?\?(?:session|access_token)=)(?P<value>[^\s\"'&]+)")
_BEARER = re.compile(r"(?P<name>\bBearer\s+)(?P<value>[\w.~+/=-]+)", re.IGNORECASE)

_SHORTEST_SECRET = 6
"""Shorter values would blank ordinary words all over the log."""


class Redactor:
    """Blanks secrets in a text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known = sorted({s for s in secrets if len(s) >= _SHORTEST_SECRET}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return `text` with every secret replaced by `[redacted]`."""
        for secret in self._known:
            text = text.replace(secret, REDACTED)
        for pattern in (_NAMED, _SESSION, _BEARER):
            text = pattern.sub(rf"\g<name>{REDACTED}", text)
        return text
