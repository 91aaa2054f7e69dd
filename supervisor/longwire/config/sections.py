"""`[supervisor]`: the folder, the endpoints, the pace, the journal's limits, the deliveries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from longwire.config.paths import located
from longwire.config.settings import SupervisorSettings
from longwire.config.tables import Table
from longwire_protocol import address
from longwire_protocol.errors import AddressError

DEFAULT_DATA_DIR = "var"
SOCKET_NAME = "longwire.sock"

_NUMBERS = {
    field.name: field
    for field in msgspec.structs.fields(SupervisorSettings)
    if field.name not in {"data_dir", "endpoints"}
}
"""Keys whose types say all that is to be checked."""

_KEYS = ("data_dir", "endpoint", *_NUMBERS)
_NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]


def supervisor_settings(table: Table, *, base: Path) -> SupervisorSettings:
    """Return `[supervisor]`; a value that is wrong is reported and replaced by its default."""
    table.refuse_unknown(_KEYS)
    numbers = {name: table.get(name, field.type, field.default) for name, field in _NUMBERS.items()}
    return SupervisorSettings(
        data_dir=data_dir(table, base=base), endpoints=endpoints(table, base=base), **numbers
    )


def endpoints(table: Table, *, base: Path) -> tuple[str, ...]:
    """Return the endpoints that `[supervisor]` gives, resolved; each that cannot be used is reported."""
    if "endpoint" not in table:
        return _default_endpoint(table, base)
    written: str | list[str] | None = table.get("endpoint", str | list[str])
    if written is None:
        return ()
    if not written:
        table.problem("endpoint", "must name at least one endpoint, as ipc://var/longwire.sock")
        return ()
    texts = [written] if isinstance(written, str) else written
    resolved = [endpoint for text in texts if (endpoint := _endpoint(text, table, base)) is not None]
    if len({*resolved}) < len(resolved):
        table.problem("endpoint", "names an endpoint twice")
    return tuple(resolved)


def data_dir(table: Table, *, base: Path) -> Path:
    """Return the folder that `[supervisor]` gives, resolved; one that cannot be used is reported."""
    written: str = table.get("data_dir", _NonEmpty, DEFAULT_DATA_DIR)
    try:
        return located(written, base=base)
    except ValueError as exc:
        table.problem("data_dir", str(exc))
        return base / DEFAULT_DATA_DIR


def _default_endpoint(table: Table, base: Path) -> tuple[str, ...]:
    try:
        return (address.ipc(data_dir(table, base=base) / SOCKET_NAME),)
    except AddressError as exc:
        table.problem("endpoint", f"{exc}; give an endpoint with a shorter path")
        return ()


def _endpoint(written: str, table: Table, base: Path) -> str | None:
    try:
        resolved = address.resolve(written, base=base)
    except AddressError as exc:
        table.problem("endpoint", str(exc))
        return None
    if address.ipc_path(resolved) is None:
        table.problem(
            "endpoint",
            f"{written}: tcp endpoints need CURVE encryption, which this version does not have; use ipc://",
        )
        return None
    return resolved
