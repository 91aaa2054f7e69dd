"""Tells the parent which connectors are installed: `python -P -m longwire_connectors.describe [LIFELINE]`.

The parent imports no connector's code; this short-lived helper process does. It prints one `Description` of
`longwire_protocol.declaration` as JSON and nothing else: what modules print while they are imported goes to
stderr. One connector that cannot be imported is reported as such and harms no other.
"""

from __future__ import annotations

import os
import re
import sys
from collections import defaultdict
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from typing import Any, BinaryIO, cast

import msgspec
from msgspec import inspect

from longwire_connectors import lifeline
from longwire_connectors.base import Connector, Declaration
from longwire_protocol.declaration import (
    ENTRY_POINT_GROUP,
    ConnectorSpec,
    Constraints,
    Description,
    OptionSpec,
    OptionType,
    Requirement,
)
from longwire_protocol.version import CHILD_PROTOCOL, __version__


def main() -> None:
    """Print the description of every installed connector."""
    for lifeline_fd in sys.argv[1:]:
        lifeline.arm(int(lifeline_fd))  # what hangs while it is imported must not outlive the supervisor
    with own_stdout() as out:
        connectors = describe(entry_points(group=ENTRY_POINT_GROUP))
        out.write(msgspec.json.encode(Description(CHILD_PROTOCOL, connectors, __version__)))


@contextmanager
def own_stdout() -> Generator[BinaryIO]:
    """Give stdout to the block alone: whatever else writes there, by `print` or from C, writes to stderr."""
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)
        yield out


def describe(found: Iterable[EntryPoint]) -> list[ConnectorSpec]:
    """Return a spec for each name among the entry points, by name; importing them is part of it."""
    by_name: defaultdict[str, list[EntryPoint]] = defaultdict(list)
    for entry_point in found:
        by_name[entry_point.name].append(entry_point)
    return [_describe(name, claims) for name, claims in sorted(by_name.items())]


def _describe(name: str, claims: list[EntryPoint]) -> ConnectorSpec:
    owners = ", ".join(sorted({_distribution(claim) for claim in claims}))
    if len(claims) > 1:
        return ConnectorSpec(
            name=name, distribution=owners, error="several distributions define it; uninstall all but one"
        )
    try:
        declaration = _declaration(claims[0].load())
        described = spec(name, declaration, distribution=owners)
        found = requirements(claims[0].dist.requires or [] if claims[0].dist else [], declaration.extra)
        return msgspec.structs.replace(described, requirements=found)
    except (Exception, SystemExit) as exc:  # noqa: BLE001 - foreign code; its error is the answer
        return ConnectorSpec(name=name, distribution=owners, error=f"{type(exc).__name__}: {exc}")


def _distribution(entry_point: EntryPoint) -> str:
    dist = entry_point.dist
    return f"{dist.name} {dist.version}" if dist is not None else "unknown"


def requirements(written: Iterable[str], extra: str | None) -> tuple[Requirement, ...]:
    """Return what an extra of a distribution installs, as its metadata has it, and what is there of that."""
    marker = re.compile(rf"extra\s*==\s*['\"]{re.escape(extra or '')}['\"]")
    wanted = [line.partition(";")[0].strip() for line in written if marker.search(line)]
    names = [re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in wanted]
    return tuple(
        Requirement(name=name, wanted=text, installed=_installed(name))
        for name, text in zip(names, wanted, strict=True)
    )


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _declaration(loaded: object) -> Declaration:
    if not (isinstance(loaded, type) and issubclass(loaded, Connector)):
        raise TypeError(f"{loaded!r} is not a subclass of longwire_connectors.base.Connector")
    declaration: object = getattr(loaded, "declaration", None)
    if not isinstance(declaration, Declaration):
        raise TypeError(f"{loaded.__qualname__}.declaration is not a longwire_connectors.base.Declaration")
    return declaration


def spec(name: str, declaration: Declaration, *, distribution: str | None = None) -> ConnectorSpec:
    """Return what the parent must know of a connector.

    Raises:
        ValueError: the declaration names an option that its Struct does not have, or a secret that is no
            text, or allows no connection at all.
    """
    options = tuple(
        _option(field, is_secret=field.encode_name in declaration.secrets)
        for field in _fields(declaration.options)
    )
    named = {*declaration.secrets, *([declaration.identity] if declaration.identity is not None else [])}
    if missing := named - {option.name for option in options}:
        raise ValueError(f"the declaration names options that do not exist: {', '.join(sorted(missing))}")
    if odd := [option.name for option in options if option.is_secret and option.type != "string"]:
        raise ValueError(f"secrets must be strings: {', '.join(odd)}")
    if declaration.link_burst is not None and declaration.link_burst < 1:
        raise ValueError("link_burst must be at least 1, or left out")
    return ConnectorSpec(
        name=name,
        distribution=distribution,
        platform=declaration.platform,
        options=options,
        identity=declaration.identity,
        extra=declaration.extra,
        methods=declaration.methods,
        is_forkable=declaration.is_forkable,
        is_overlap_allowed=declaration.is_overlap_allowed,
        backoff_initial_s=declaration.backoff_initial_s,
        backoff_max_s=declaration.backoff_max_s,
        link_burst=declaration.link_burst,
        repeat_window_s=declaration.repeat_window_s,
        rates=declaration.rates,
        supported=declaration.supported,
    )


def _fields(options: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    return cast("inspect.StructType", inspect.type_info(options)).fields


def _option(field: inspect.Field, *, is_secret: bool) -> OptionSpec:
    described, description = _without_metadata(field.type)
    kind, limited = _kind(described)
    return OptionSpec(
        name=field.encode_name,
        type=kind,
        required=field.required,
        default=_default(field),
        description=description,
        choices=_choices(limited),
        constraints=_constraints(limited),
        is_secret=is_secret,
    )


def _default(field: inspect.Field) -> Any:
    default: Any = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    return None if default is msgspec.NODEFAULT else msgspec.to_builtins(default, str_keys=True)


def _without_metadata(type_: inspect.Type) -> tuple[inspect.Type, str | None]:
    """Return the type itself, without `| None` (TOML has no null) and annotations, and its description."""
    description: str | None = None
    while True:
        if isinstance(type_, inspect.Metadata):
            schema = cast("dict[str, str]", type_.extra_json_schema or {})
            description = description or schema.get("description")
            type_ = type_.type
            continue
        if isinstance(type_, inspect.UnionType):
            members = [member for member in type_.types if not isinstance(member, inspect.NoneType)]
            if len(members) == 1:
                type_ = members[0]
                continue
        return type_, description


_SCALARS: dict[type[inspect.Type], OptionType] = {
    inspect.StrType: "string",
    inspect.IntType: "integer",
    inspect.FloatType: "number",
    inspect.BoolType: "boolean",
}
_ARRAYS: dict[OptionType, OptionType] = {
    "string": "array of string",
    "integer": "array of integer",
    "number": "array of number",
    "boolean": "array of boolean",
}


def _kind(type_: inspect.Type) -> tuple[OptionType, inspect.Type]:
    """Return TOML's word for the type, and the type whose limits count: an array's items have them."""
    if isinstance(type_, inspect.CollectionType):
        item, _ = _without_metadata(type_.item_type)
        return _ARRAYS.get(_scalar(item), "any"), item
    return _scalar(type_), type_


def _scalar(type_: inspect.Type) -> OptionType:
    if choices := _choices(type_):
        kinds = {type(choice) for choice in choices}
        return "string" if kinds == {str} else "integer" if kinds == {int} else "any"
    return _SCALARS.get(type(type_), "any")


def _choices(type_: inspect.Type) -> tuple[str | int, ...]:
    if isinstance(type_, inspect.EnumType):
        return tuple(member.value for member in type_.cls)
    values = type_.values if isinstance(type_, inspect.LiteralType) else ()
    return tuple(value for value in values if value is not None)


def _constraints(type_: inspect.Type) -> Constraints:
    if type(type_) not in _SCALARS:
        return Constraints()
    return Constraints(**{name: getattr(type_, name, None) for name in Constraints.__struct_fields__})


if __name__ == "__main__":
    main()
