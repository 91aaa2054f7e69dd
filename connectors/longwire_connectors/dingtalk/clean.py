"""A platform's JSON made fit for the journal. Pure.

Capabilities are blanked by their keys, and session webhooks also within texts: some are JSON themselves.

`json.loads`, which the SDK uses, lets through what MessagePack cannot carry: half surrogate pairs, integers
over 64 bits, any depth. Such a value in a message must cost the value, not the message.
"""

from __future__ import annotations

import json
import re
from typing import Any, cast

from longwire_protocol.redaction import REDACTED

MAX_DEPTH = 64
"""Deeper than any payload seen by far, and shallow enough for every encoder on the way."""
CAPABILITIES = frozenset({"sessionwebhook", "accesstoken", "suiteticket", "authcode", "permanentcode"})
"""Keys, in lower case, whose values let anybody act as the bot or the app."""
_WEBHOOK = re.compile(r"(sendBySession\?session=)[^\s\"'&\\]+")
"""A session webhook inside a text."""
_MAX_INT = 2**64 - 1
_MIN_INT = -(2**63)


def clean(value: Any, *, depth: int = 0) -> Any:
    """Return `value` with capabilities blanked and what cannot be carried replaced.

    Raises:
        ValueError: nested deeper than `MAX_DEPTH`.
    """
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict | list):
        if depth >= MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")
        return _container(cast("dict[str, Any] | list[Any]", value), depth + 1)
    if isinstance(value, int) and not _MIN_INT <= value <= _MAX_INT:
        return float(value) if abs(value) < 10**300 else str(value)
    return value


def clean_text(text: str) -> str:
    """Return `text` without session webhooks, and with half surrogate pairs replaced by U+FFFD."""
    if "sendBySession" in text:
        text = _WEBHOOK.sub(rf"\1{REDACTED}", text)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def read_text(text: str) -> Any:
    """Return the cleaned value in a JSON text; the text itself if it is none, or nested too deeply."""
    try:
        return clean(json.loads(text))
    except (ValueError, RecursionError):
        return text


def _container(value: dict[str, Any] | list[Any], depth: int) -> Any:
    if isinstance(value, list):
        return [clean(item, depth=depth) for item in value]
    return {
        clean_text(key): REDACTED if key.lower() in CAPABILITIES else clean(item, depth=depth)
        for key, item in value.items()
    }
