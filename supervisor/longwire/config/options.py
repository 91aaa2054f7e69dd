"""A connector's own keys of an account, checked one by one against what the connector declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from longwire.config import secrets
from longwire.config.secrets import Fetched, Secret, UnresolvableSecret
from longwire.config.tables import Invalid, Table, convert
from longwire_protocol.declaration import ConnectorSpec, OptionSpec

_INT64: Final = 2**63
_SCALARS: Final[Mapping[str, type]] = {"string": str, "integer": int, "number": float, "boolean": bool}
_ARRAY: Final = "array of "


class Sources(msgspec.Struct, frozen=True):
    """Where secrets come from."""

    base: Path
    """The folder from which relative paths count."""
    environ: Mapping[str, str]
    read_file: Callable[[Path], str]
    fetched: Mapping[str, Fetched] = {}
    """What references into a host's vault stand for."""


def account_options(table: Table, spec: ConnectorSpec, sources: Sources) -> dict[str, object]:
    """Return the options that the account gives, secrets resolved; what is wrong is reported and left out."""
    options: dict[str, object] = {}
    for option in spec.options:
        if option.name in table:
            value = _value(table, option, sources)
            if value is not None:
                options[option.name] = value
        elif option.required:
            table.problem(option.name, _missing(option, spec))
    return options


def _missing(option: OptionSpec, spec: ConnectorSpec) -> str:
    meaning = f": {option.description}" if option.description else ""
    return f"missing; the connector {spec.name!r} needs it{meaning}"


def _value(table: Table, option: OptionSpec, sources: Sources) -> object:
    if option.is_secret:
        return _secret(table, option, sources)
    value: object = table.get(option.name, kind_of(option), expected=_in_words(option))
    if isinstance(value, str) and secrets.is_variable(value):
        table.problem(option.name, "env: is for secrets only; write the value itself")
        return None
    return value


def _in_words(option: OptionSpec) -> str | None:
    """Return what is expected where the limit itself, a pattern, says it to nobody."""
    return option.description if option.constraints.pattern is not None else None


def _secret(table: Table, option: OptionSpec, sources: Sources) -> Secret | None:
    given = table.raw(option.name)
    written: str | Secret | None = given if isinstance(given, Secret) else table.get(option.name, str)
    if written is None:
        return None
    try:
        secret = secrets.resolve(
            written,
            base=sources.base,
            environ=sources.environ,
            read_file=sources.read_file,
            fetched=sources.fetched,
        )
        convert(secret.reveal(), kind_of(option))
    except UnresolvableSecret as exc:
        table.problem(option.name, str(exc))
        return None
    except Invalid as exc:
        table.problem(option.name, exc.message)
        return None
    return secret


def kind_of(option: OptionSpec) -> Any:
    """Return the type that msgspec checks a value of the option against."""
    if option.type == "any":
        return Any
    if option.type.startswith(_ARRAY):
        return list[_scalar(option, option.type.removeprefix(_ARRAY))]  # type: ignore[misc]  # made at run time
    return _scalar(option, option.type)


def _scalar(option: OptionSpec, name: str) -> Any:
    if option.choices:
        return Literal[option.choices]
    limits: dict[str, Any] = {
        limit: value
        for limit, value in msgspec.structs.asdict(option.constraints).items()
        if value is not None
    }
    if name == "integer":  # what a frame can carry to the child; msgspec itself takes any number
        least: dict[str, Any] = {} if "gt" in limits else {"ge": -_INT64}
        most: dict[str, Any] = {} if "lt" in limits else {"le": _INT64 - 1}
        limits = least | most | limits
    return Annotated[_SCALARS[name], msgspec.Meta(**limits)]
