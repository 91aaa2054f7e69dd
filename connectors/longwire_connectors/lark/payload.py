"""An event's payload: bytes to a map, without the capabilities in it. Pure."""

from __future__ import annotations

import json
import re
from typing import Any, cast

import msgspec

from longwire_protocol.redaction import REDACTED

Json = dict[str, Any]


class MalformedEvent(ValueError):
    """A payload that is not a JSON object; nothing can be made of it."""


_LONG_NUMBER = re.compile(rb"\d{19}")
"""Only texts with one may hold a number beyond 64 bits, which MessagePack cannot carry."""
_MIN_INT, _MAX_INT = -(2**63), 2**64 - 1


def read_payload(data: bytes) -> Json:
    """Return the payload as a map that MessagePack can carry, with its tokens blanked.

    Numbers beyond 64 bits become text, unpaired surrogates the replacement character: Lark passes on what
    users and other programs wrote, and an event refused for it would come again for seven hours.

    Raises:
        MalformedEvent: no JSON, or no object.
    """
    raw = _decode(data)
    if not isinstance(raw, dict):
        raise MalformedEvent(f"a payload of {len(data)} bytes that is not a JSON object")
    payload = cast("Json", raw)
    _blank_tokens(payload)
    return payload


def part(payload: Json, *path: str) -> Json:
    """Return the map at `path`, an empty one if there is none."""
    for name in path:
        inner = payload.get(name)
        if not isinstance(inner, dict):
            return {}
        payload = cast("Json", inner)
    return payload


def text(payload: Json, name: str) -> str | None:
    """Return the non-empty text under `name`, else `None`."""
    value = payload.get(name)
    return value if isinstance(value, str) and value else None


def _decode(data: bytes) -> object:
    try:
        raw = msgspec.json.decode(data)
        return _portable(raw) if _LONG_NUMBER.search(data) else raw
    except msgspec.MsgspecError:
        return _decode_leniently(data)
    except RecursionError as error:
        raise MalformedEvent(f"a payload of {len(data)} bytes, nested too deeply") from error


def _decode_leniently(data: bytes) -> object:
    """Decode what the standard library reads and msgspec refuses: unpaired surrogates, 1e999."""
    try:
        return _portable(json.loads(data))
    except (ValueError, RecursionError) as error:
        raise MalformedEvent(f"a payload of {len(data)} bytes that is not JSON") from error


def _portable(value: object) -> object:
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case int() if not _MIN_INT <= value <= _MAX_INT:
            return str(value)
        case list():
            return [_portable(item) for item in cast("list[object]", value)]
        case dict():
            pairs = cast("dict[str, object]", value).items()
            return {str(_portable(key)): _portable(item) for key, item in pairs}
        case _:
            return value


def _blank_tokens(payload: Json) -> None:
    """Blank what lets its holder act: verification tokens, and those of cards and previews.

    With a card's `token` the card can be changed for half an hour.
    """
    places = (payload, part(payload, "header"), part(payload, "event"))
    named = [(place, "token") for place in places]
    for place, name in (*named, (part(payload, "event", "context"), "preview_token")):
        if place.get(name):
            place[name] = REDACTED
