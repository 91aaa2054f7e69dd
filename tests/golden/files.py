"""Reading, making and writing golden files."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from longwire_connectors.base import Stamp
from longwire_connectors.dingtalk import normalise as dingtalk
from longwire_connectors.lark import normalise as lark
from longwire_protocol.codec import encode_event
from longwire_protocol.event import Bot, Event
from longwire_protocol.redaction import REDACTED

FOLDER = Path(__file__).parent
BOTS = {"lark": Bot("ou_bot", "Acme Bot"), "dingtalk": Bot("$:LWCP_v1:$bot")}


class Golden(msgspec.Struct, forbid_unknown_fields=True):
    """One file; its package's docstring says what the fields are."""

    source: str
    given: Any
    event: dict[str, Any] = {}
    blanked: list[str] = []


def paths() -> list[Path]:
    """Return all golden files, by name."""
    return sorted(FOLDER.glob("*/*.json"))


def name_of(path: Path) -> str:
    """Return a file's short name, as `lark/message_text`."""
    return f"{path.parent.name}/{path.stem}"


def read(path: Path) -> Golden:
    """Return a file's content."""
    return msgspec.json.decode(path.read_bytes(), type=Golden)


def written(golden: Golden) -> str:
    """Return the text of a file."""
    return json.dumps(msgspec.to_builtins(golden), indent=2, ensure_ascii=False) + "\n"


def made(path: Path) -> Golden:
    """Return the file as it would be written now."""
    golden = read(path)
    event = normalised(path.parent.name, golden.given)
    seen: dict[str, Any] = msgspec.msgpack.decode(encode_event(event))  # as it goes over the wire
    raw = seen.pop("raw")
    blanked = [place for place, value in leaves(raw) if value == REDACTED]
    assert blank(golden.given, blanked) == raw, "raw is the payload, but for what is blanked"
    return Golden(source=golden.source, given=golden.given, event=seen, blanked=blanked)


def normalised(platform: str, given: Any) -> Event:
    """Return the event of a payload."""
    return _NORMALISE[platform](given, stamp(platform))


def stamp(platform: str) -> Stamp:
    """Return the fields of an event that do not come from its payload."""
    return Stamp(
        id="ev-1",
        recv_time=1_700_000_000.5,
        tenant="acme",
        account=f"acme-{platform}",
        platform=platform,
        bot=BOTS[platform],
    )


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value that holds no others, with its place, as `event.users.0.name`."""
    if not isinstance(value, dict | list):
        yield place, value
        return
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield from leaves(inner, f"{place}.{key}" if place else str(key))


def blank(given: Any, places: list[str]) -> Any:
    """Return a copy of `given` with `[redacted]` at `places`."""
    copied = copy.deepcopy(given)
    for place in places:
        *way, last = place.split(".")
        inner = copied
        for step in way:
            inner = inner[int(step)] if isinstance(inner, list) else inner[step]
        inner[last] = REDACTED
    return copied


def _from_lark(given: Any, stamp: Stamp) -> Event:
    return lark.normalise(json.dumps(given).encode(), stamp=stamp)


def _from_dingtalk(given: Any, stamp: Stamp) -> Event:
    frame = dingtalk.Frame(type=given["type"], headers=given["headers"], data=given["data"])
    return dingtalk.to_event(frame, stamp)


_NORMALISE: dict[str, Callable[[Any, Stamp], Event]] = {"lark": _from_lark, "dingtalk": _from_dingtalk}
