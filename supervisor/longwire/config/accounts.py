"""`[accounts]`: what each account is, and what accounts demand of each other."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Annotated, Final

import msgspec

from longwire.config import layers
from longwire.config.interpreters import Interpreters, Specs
from longwire.config.layers import SETTING_KEYS, Layer
from longwire.config.options import Sources, account_options
from longwire.config.secrets import Secret
from longwire.config.settings import AccountConfig
from longwire.config.tables import Table
from longwire_protocol.declaration import ConnectorSpec

DEFAULT_TENANT = "default"

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_OWN_KEYS: Final = ("connector", "tenant", "allow_shared_app")
_RESERVED: Final = frozenset({*_OWN_KEYS, *SETTING_KEYS})
_Tenant = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An account as read; its mistakes are reported, so without any it can become an `AccountConfig`."""

    name: str
    table: Table
    spec: ConnectorSpec
    tenant: str
    allow_shared_app: bool
    layers: tuple[Layer, ...]
    options: dict[str, object]

    def finished(self) -> AccountConfig:
        """Return the account; only after nothing was found wrong with the configuration."""
        app = self.options.get(self.spec.identity or "")
        return AccountConfig(
            account=self.name,
            connector=self.spec.name,
            app=app if isinstance(app, str) else None,
            platform=self.spec.platform,
            methods=self.spec.methods,
            is_overlap_allowed=self.spec.is_overlap_allowed,
            link_burst=self.spec.link_burst,
            repeat_window_s=self.spec.repeat_window_s,
            rates=self.spec.rates,
            supported=self.spec.supported,
            tenant=self.tenant,
            allow_shared_app=self.allow_shared_app,
            settings=layers.settings(self.layers),
            options=self.options,
        )


class Shared(msgspec.Struct, frozen=True):
    """What the operator wrote for several accounts."""

    defaults: Layer
    connectors: Mapping[str, Layer]
    """`[connectors.NAME]` by name."""

    def behind(self, own: Layer, connector: str | None) -> tuple[Layer, ...]:
        """Return an account's own layer and those behind it that the operator wrote."""
        between = self.connectors.get(connector or "")
        return (own, self.defaults) if between is None else (own, between, self.defaults)


def drafts(table: Table, shared: Shared, *, interpreters: Interpreters, sources: Sources) -> list[Draft]:
    """Return the accounts in the order of the file, but for those without a usable connector."""
    read = [_draft(name, table, shared, interpreters=interpreters, sources=sources) for name in table]
    found = [draft for draft in read if draft is not None]
    _refuse_shared_apps(found)
    return found


def _draft(
    name: str,
    parent: Table,
    shared: Shared,
    *,
    interpreters: Interpreters,
    sources: Sources,
) -> Draft | None:
    if _NAME.fullmatch(name) is None:
        parent.problem(name, "is no account name: 1 to 63 of a-z A-Z 0-9 . _ -, the first a letter or digit")
    table = parent.table_or_none(name)
    if table is None:
        return None
    tenant: str = table.get("tenant", _Tenant, DEFAULT_TENANT)
    allow_shared_app: bool = table.get("allow_shared_app", bool, False)
    connector: str | None = table.get("connector", str)
    written = shared.behind(layers.written(table, interpreters), connector)
    spec = _connector(table, connector, interpreters.connectors(layers.python(written)))
    if spec is None:  # so it is not known what other keys there should be
        layers.check(written)
        return None
    stack = (*layers.fit_for(written, spec), layers.declared(spec, account=table))
    layers.check(stack)
    table.refuse_unknown([*_RESERVED, *(option.name for option in spec.options)])
    return Draft(
        name=name,
        table=table,
        spec=spec,
        tenant=tenant,
        allow_shared_app=allow_shared_app,
        layers=stack,
        options=account_options(table, spec, sources),
    )


def _connector(table: Table, name: str | None, specs: Specs | None) -> ConnectorSpec | None:
    if specs is None:  # its interpreter is of no use
        return None
    if "connector" not in table:
        table.problem("connector", f"missing; installed are {listed(specs)}")
    if name is None:
        return None
    spec = specs.get(name)
    if spec is None:
        table.problem("connector", f"no connector {name!r} is installed; installed are {listed(specs)}")
        return None
    if error := _flaw(spec):
        table.problem("connector", f"the connector {name!r} of {spec.distribution} cannot be used: {error}")
        return None
    return spec


def listed(specs: Specs) -> str:
    """Return the names for a message."""
    return ", ".join(sorted(specs)) or "none"


def _flaw(spec: ConnectorSpec) -> str | None:
    if spec.error is not None:
        return spec.error
    if clashing := sorted(_RESERVED & {option.name for option in spec.options}):
        return f"its options {', '.join(clashing)} are keys of every account"
    return None


def _refuse_shared_apps(found: Iterable[Draft]) -> None:
    users: defaultdict[tuple[str, object], list[Draft]] = defaultdict(list)
    for draft in found:
        identity = draft.spec.identity
        if identity is not None and isinstance(value := draft.options.get(identity), str | int | Secret):
            users[draft.spec.name, value].append(draft)
    for sharing in users.values():
        for draft in sharing:
            if len(sharing) > 1 and not draft.allow_shared_app:
                _refuse_shared_app(draft, [other.name for other in sharing if other is not draft])


def _refuse_shared_app(draft: Draft, others: Iterable[str]) -> None:
    """Report it without the value, which may be a secret."""
    message = (
        f"names the same app as the account {' and '.join(others)}: the platform would deal its events out "
        "between them at random; set allow_shared_app = true on each of them if that is meant"
    )
    draft.table.problem(str(draft.spec.identity), message)
