"""Values of any of our structs with every field set, each with a value of its own that tells where it is."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
from msgspec import inspect

FIRST_NUMBER = 1_001


class Filled:
    """A value made of a type, as plain data, and what stands where in it."""

    def __init__(self, kind: Any) -> None:
        self.numbers: dict[str, int] = {}
        """By dotted path; those of items of arrays and maps have no name of their own."""
        self.texts: dict[str, str] = {}
        self._unique = itertools.count(FIRST_NUMBER)
        self.data: Any = msgspec.to_builtins(self._fill(inspect.type_info(kind), ""))

    def _fill(self, kind: inspect.Type, path: str) -> Any:
        match kind:
            case inspect.UnionType():
                return self._fill(kind.types[0], path)
            case inspect.ListType() | inspect.VarTupleType() | inspect.FrozenSetType():
                return [self._fill(kind.item_type, path)]
            case inspect.DictType():
                return {"key": self._fill(kind.value_type, path)}
            case inspect.StructType():
                fields = ((field.encode_name, field.type) for field in kind.fields)
                return {name: self._fill(each, f"{path}.{name}".lstrip(".")) for name, each in fields}
            case _:
                return self._leaf(kind, path)

    def _leaf(self, kind: inspect.Type, path: str) -> Any:
        match kind:
            case inspect.IntType() | inspect.FloatType():
                return self.numbers.setdefault(path, next(self._unique))
            case inspect.StrType():
                return self.texts.setdefault(path, f"text-of-{path}")
            case inspect.LiteralType():
                return kind.values[0]
            case inspect.EnumType():
                return next(iter(kind.cls))
            case inspect.BoolType():
                return True
            case _:
                raise AssertionError(f"{path}: no value is known for {kind}")
