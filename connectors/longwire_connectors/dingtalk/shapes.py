"""Values of a platform's JSON, taken for what they are, or for nothing. Pure."""

from __future__ import annotations

from typing import Any, cast


def as_map(given: Any) -> dict[str, Any]:
    """Return an object; an empty one for anything else."""
    return cast("dict[str, Any]", given) if isinstance(given, dict) else {}


def as_list(given: Any) -> list[Any]:
    """Return an array; an empty one for anything else."""
    match given:
        case [*values]:
            return values
        case _:
            return []


def as_text(given: Any) -> str | None:
    """Return a text that is not empty; `None` for anything else."""
    return given if isinstance(given, str) and given else None
