"""`[connectors]`: settings for all accounts of a connector, nearer to them than `[defaults]`."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from longwire.config import layers
from longwire.config.accounts import listed
from longwire.config.interpreters import Interpreters
from longwire.config.layers import SETTING_KEYS, Layer
from longwire.config.tables import Table


def connector_layers(table: Table, defaults: Layer, interpreters: Interpreters) -> dict[str, Layer]:
    """Return the layers by the names of their connectors; what is wrong in them is reported."""
    tables = {name: inner for name in table if (inner := table.table_or_none(name)) is not None}
    found = {name: layers.written(inner, interpreters) for name, inner in tables.items()}
    for name, layer in found.items():
        tables[name].refuse_unknown(SETTING_KEYS, note="a connector's own options stand in its accounts")
        layers.check([layer, defaults])
    return found


def refuse_unknown(
    table: Table,
    found: Mapping[str, Layer],
    defaults: Layer,
    *,
    used: Collection[str],
    interpreters: Interpreters,
) -> None:
    """Report tables of connectors that are not installed.

    `used` are those of accounts: they may be installed in the accounts' own interpreters only.
    """
    for name, layer in found.items():
        if name in used:
            continue
        specs = interpreters.connectors(layers.python([layer, defaults]))
        if specs is not None and name not in specs:
            table.problem(name, f"no connector {name!r} is installed; installed are {listed(specs)}")
