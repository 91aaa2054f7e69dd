"""A table of the file being read: its values checked one by one, its mistakes collected."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, Literal, get_args, get_origin

import msgspec

from longwire_protocol.errors import Problem

_TOML_WORDS: Final = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "an array",
    "object": "a table",
}
_TYPES = re.compile(r"`([^`]+)`")
_PATH = re.compile(r" - at `(?:key` in `)?\$(?P<path>[^`]*)`$")


class Invalid(ValueError):
    """A value that a key cannot have: where inside the value (`[2]`, or nothing), and what it should be."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


def convert(value: object, kind: Any) -> Any:
    """Return the value as the type `kind`, checked against its limits; an integer will do for a number.

    Raises:
        Invalid: it is not; the message names the limit and never the value.
    """
    if isinstance(value, float) and math.isnan(value):  # which passes every limit that is not there
        raise Invalid("", "must be a number, and nan is none")
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as exc:
        error = str(exc)
    if get_origin(kind) is Literal:
        raise Invalid("", f"must be {' or '.join(map(repr, get_args(kind)))}")
    path = _PATH.search(error)
    message = _TYPES.sub(_in_words, _PATH.sub("", error))
    raise Invalid(path["path"] if path else "", message[:1].lower() + message[1:])


def _in_words(types: re.Match[str]) -> str:
    return " or ".join(_TOML_WORDS.get(name, name) for name in types[1].split(" | "))


class Table:
    """One table of the file. Whatever is wrong goes to `problems`, under the table's dotted place."""

    def __init__(self, values: Mapping[str, object], *, place: str, problems: list[Problem]) -> None:
        self._values = values
        self._problems = problems
        self._place = place

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def place(self, key: str) -> str:
        """Return the dotted place of a key."""
        return f"{self._place}.{key}" if self._place else key

    def raw(self, key: str) -> object:
        """Return the key's value as it was given, unchecked; `None` where it is absent."""
        return self._values.get(key)

    def problem(self, key: str | None, message: str) -> None:
        """Report what is wrong with a key, once; with the table as a whole where that is `None`."""
        problem = Problem(self._place if key is None else self.place(key), message)
        if problem not in self._problems:
            self._problems.append(problem)

    def get(self, key: str, kind: Any, default: object = None, *, expected: str | None = None) -> Any:
        """Return the key's value as the type `kind`, or `default` where it is absent or wrong.

        `expected` says in words what is right, where the type's own limits do not.
        """
        if key not in self._values:
            return default
        try:
            return convert(self._values[key], kind)
        except Invalid as exc:
            self.problem(f"{key}{exc.path}", f"expected {expected}" if expected else exc.message)
            return default

    def table(self, key: str) -> Table:
        """Return the table under the key; an empty one where it is absent or something else."""
        return self.table_or_none(key) or Table({}, place=self.place(key), problems=self._problems)

    def table_or_none(self, key: str) -> Table | None:
        """Return the table under the key, `None` where it is absent or something else."""
        values: dict[str, object] | None = self.get(key, dict[str, Any])
        return None if values is None else Table(values, place=self.place(key), problems=self._problems)

    def refuse_unknown(
        self, known: Collection[str], *, except_for: Collection[str] = (), what: str = "key", note: str = ""
    ) -> None:
        """Report each key that is not `known`, with the known ones that look like it, and a note."""
        for key in self._values:
            if key not in known and key not in except_for:
                near = difflib.get_close_matches(key, known, n=2)
                hint = (
                    f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(sorted(known))}"
                )
                self.problem(key, "; ".join(filter(None, (f"unknown {what}", hint, note))))
