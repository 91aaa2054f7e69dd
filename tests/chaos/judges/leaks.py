"""Secrets stay secret: what must stand in no output."""

from __future__ import annotations

import re
from collections.abc import Collection

from chaos.judges.facts import Violation

_PATTERNS = {
    "a ticket or access_key": re.compile(
        r"""(?:access_key|ticket)["']?\s*[=:]\s*["']?(?!\[redacted\])[\w-]{8}"""
    ),
    "a sessionWebhook": re.compile(r"sendBySession\?session=(?!\[redacted\])\w"),
    "a token": re.compile(r"\bt-[0-9a-f]{40}\b"),
}
_AROUND = 100


def leaks(text: str, *, secrets: Collection[str], where: str, at: float) -> list[Violation]:
    """Return what of these secrets, and of what the platforms hand out, is in a text; each once."""
    found: list[tuple[str, int]] = []
    for secret in secrets:
        place = text.find(secret)
        if place >= 0:
            found.append(("a configured secret", place))
    for what, pattern in _PATTERNS.items():
        match = pattern.search(text)
        if match is not None:
            found.append((what, match.start()))
    return [
        Violation(
            promise="secrets stay secret",
            account="",
            at=at,
            text=f"{what} is in {where}: ...{text[max(0, place - _AROUND) : place + _AROUND]}...",
        )
        for what, place in found
    ]
