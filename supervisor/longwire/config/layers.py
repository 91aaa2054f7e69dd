"""An account's settings in layers, nearest first.

They are the account itself, `[connectors.NAME]`, `[defaults]`, what the connector declares, built in. The
first three were written by the operator, so they beat what a connector declares for itself.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

import msgspec

from longwire.config.interpreters import Interpreters
from longwire.config.settings import AccountSettings
from longwire.config.tables import Table
from longwire_protocol.declaration import ConnectorSpec

_COMPUTED: Final = "is_link_timeout_explicit"
_FIELDS: Final = {
    field.name: field for field in msgspec.structs.fields(AccountSettings) if field.name != _COMPUTED
}

SETTING_KEYS: Final = tuple(_FIELDS)
"""The keys of `[defaults]`, all of which an account may have too."""

_BROKEN: Final = object()
"""The value of a key whose mistake is reported already; rules about it would only add noise."""


class Layer(NamedTuple):
    """Some of the settings, and how to report what is wrong with one of them."""

    values: Mapping[str, object]
    blame: Callable[[str, str], None]
    is_written: bool = False
    """Whether the operator wrote it."""


def written(table: Table, interpreters: Interpreters) -> Layer:
    """Return the settings among a table's keys; values that cannot be are reported."""
    values = {name: table.get(name, field.type, _BROKEN) for name, field in _FIELDS.items() if name in table}
    if isinstance(python := values.get("python"), str):
        found = interpreters.path(python, blame=partial(table.problem, "python"))
        values["python"] = _BROKEN if found is None else found
    return Layer(values, table.problem, is_written=True)


def python(layers: Sequence[Layer]) -> object:
    """Return the interpreter, for `Interpreters.connectors`."""
    return _merged(layers)["python"]


def declared(spec: ConnectorSpec, *, account: Table) -> Layer:
    """Return the connector's own defaults; a mistake in them is reported at the account that uses it."""
    values = {
        "isolation": "fork" if spec.is_forkable else "spawn",
        "backoff_initial_s": spec.backoff_initial_s,
        "backoff_max_s": spec.backoff_max_s,
    }

    def blame(key: str, message: str) -> None:
        del key  # the account has none of that name
        account.problem("connector", message)

    return Layer(values, blame)


def fit_for(written: Sequence[Layer], spec: ConnectorSpec) -> Sequence[Layer]:
    """Return the operator's layers without a wish for `fork` that the connector cannot fulfil.

    In `[defaults]`, the last, it is meant for the others; nearer than that it is reported.
    """
    if spec.is_forkable:
        return written
    for layer in written[:-1]:
        if layer.values.get("isolation") == "fork":
            problem = f"the connector {spec.name!r} does not declare that it may be forked"
            layer.blame("isolation", f'{problem}; leave it out, or isolation = "spawn"')
    defaults = written[-1]
    fitting = {k: v for k, v in defaults.values.items() if (k, v) != ("isolation", "fork")}
    return (*written[:-1], defaults._replace(values=fitting))


class _Rule(NamedTuple):
    """The setting `larger` must not be under `smaller`, nor equal to it where `is_strict`."""

    smaller: str
    larger: str
    is_strict: bool


_RULES: Final = (
    _Rule("heartbeat_interval_s", "heartbeat_timeout_s", is_strict=True),
    # Proof of the link travels with the heartbeats, so it is always up to one interval old.
    _Rule("heartbeat_interval_s", "link_timeout_s", is_strict=True),
    _Rule("backoff_initial_s", "backoff_max_s", is_strict=False),
)


def check(layers: Sequence[Layer]) -> None:
    """Report what one setting demands of another, at the nearest layer that sets one of the two."""
    merged = _merged(layers)
    for rule in _RULES:
        smaller, larger = merged.get(rule.smaller), merged.get(rule.larger)
        if not (isinstance(smaller, int | float) and isinstance(larger, int | float)):
            continue  # broken and reported, or not known without the connector
        if larger < smaller or (rule.is_strict and larger == smaller):
            relation = "greater than" if rule.is_strict else "at least"
            _blame(rule, layers, f"{larger:g} must be {relation} {rule.smaller}, which is {smaller:g}")


def _blame(rule: _Rule, layers: Sequence[Layer], message: str) -> None:
    key, layer = next(
        (key, layer) for layer in layers for key in (rule.larger, rule.smaller) if key in layer.values
    )
    layer.blame(key, f"{rule.larger} = {message}")


def settings(layers: Sequence[Layer]) -> AccountSettings:
    """Return the settings of layers in which nothing was found wrong."""
    is_explicit = any("link_timeout_s" in layer.values for layer in layers if layer.is_written)
    return msgspec.convert({**_merged(layers), _COMPUTED: is_explicit}, AccountSettings)


def _merged(layers: Sequence[Layer]) -> Mapping[str, object]:
    built_in = {name: field.default for name, field in _FIELDS.items() if not field.required}
    return ChainMap(*(dict(layer.values) for layer in layers), built_in)
