"""An event's payload: bytes to a map, without the capabilities in it. Pure."""

from __future__ import annotations

import json
from typing import Any, cast

import msgspec

from longwire_protocol.redaction import REDACTED

Json = dict[str, Any]


class MalformedEvent(ValueError):
    """A payload that is not a JSON object; nothing can be made of it."""


MAX_DEPTH = 128
"""Nested deeper is refused: twice what any card seen needs, and shallow enough for every encoder on the way,
whatever stack it runs on."""
_MICROSECONDS_FROM = 1e14
_MILLISECONDS_FROM = 1e11
"""Larger numbers are micro- or milliseconds: card callbacks count the former, events the latter, and
schema 1.0 whole seconds. As seconds the smaller limit is the year 5138."""
_DIGITS_AS_ZEROS = bytes(ord("0") if chr(code).isdecimal() else ord(" ") for code in range(256))
_LONG_NUMBER = b"0" * 19
"""Only texts with one may hold a number beyond 64 bits, which MessagePack cannot carry. Looked for in a text
whose digits are all made zeros: a tenth of what a regular expression takes, which was a third of all the work
on a message."""
_MIN_INT, _MAX_INT = -(2**63), 2**64 - 1


def read_payload(data: bytes) -> Json:
    """Return the payload as a map that MessagePack can carry, with its tokens blanked.

    Numbers beyond 64 bits become text, unpaired surrogates the replacement character: Lark passes on what
    users and other programs wrote, and an event refused for it would come again for seven hours.

    Raises:
        MalformedEvent: no JSON, no object, or nested deeper than `MAX_DEPTH`.
    """
    raw = _decode(data)
    if not isinstance(raw, dict):
        raise MalformedEvent(f"a payload of {len(data)} bytes that is not a JSON object")
    payload = cast("Json", raw)
    _blank_tokens(payload)
    return payload


def read_object(words: str) -> Json | None:
    """Return the object in a JSON text, made fit like a payload; `None` if there is none."""
    try:
        value = _decode(words.encode())
    except (MalformedEvent, UnicodeError):
        return None
    return cast("Json", value) if isinstance(value, dict) else None


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


def items(payload: Json, name: str) -> list[Any]:
    """Return the array under `name`, an empty one if there is none."""
    match payload.get(name):
        case [*values]:
            return values
        case _:
            return []


def maps(payload: Json, name: str) -> list[Json]:
    """Return the objects in the array under `name`."""
    return [cast("Json", item) for item in items(payload, name) if isinstance(item, dict)]


def seconds(value: object) -> float | None:
    """Return a time as Lark writes it in Unix seconds; `None` if it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if not 0 < number < 1e18:  # noqa: PLR2004  beyond it not even microseconds; NaN and infinity fail here too
        return None
    if number >= _MICROSECONDS_FROM:
        return number / 1e6
    return number / 1e3 if number >= _MILLISECONDS_FROM else number


def _decode(data: bytes) -> object:
    try:
        raw, is_portable = _parse(data)
    except RecursionError:
        raise MalformedEvent(f"a payload of {len(data)} bytes, nested too deeply") from None
    # Each level has a bracket, so few brackets need no look.
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH and _is_deep(raw):
        raise MalformedEvent(f"a payload of {len(data)} bytes, nested deeper than {MAX_DEPTH}")
    return raw if is_portable else _portable(raw)


def _parse(data: bytes) -> tuple[object, bool]:
    """Return the value, and whether MessagePack can carry all of it.

    Unpaired surrogates and 1e999 are read by the standard library and refused by msgspec.
    """
    try:
        return msgspec.json.decode(data), _LONG_NUMBER not in data.translate(_DIGITS_AS_ZEROS)
    except msgspec.MsgspecError:
        pass
    try:
        return json.loads(data), False
    except ValueError as error:
        raise MalformedEvent(f"a payload of {len(data)} bytes that is not JSON") from error


def _is_deep(value: object) -> bool:
    level = _containers([value])
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _containers(outer)]
    return bool(level)


def _containers(outer: dict[str, object] | list[object]) -> list[dict[str, object] | list[object]]:
    inside = outer.values() if isinstance(outer, dict) else outer
    return [cast("list[object]", inner) for inner in inside if isinstance(inner, dict | list)]


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
    """Blank what lets its holder act: verification tokens, those of cards and previews, and app tickets.

    With a card's `token` the card can be changed for half an hour.
    """
    event = part(payload, "event")
    tokens = ((payload, "token"), (part(payload, "header"), "token"), (event, "token"))
    others = ((event, "app_ticket"), (part(event, "context"), "preview_token"))
    for place, name in (*tokens, *others):
        if place.get(name):
            place[name] = REDACTED
