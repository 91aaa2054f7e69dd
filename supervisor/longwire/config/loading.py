"""From a file or mapping to a `Config`, or every mistake at once."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from longwire.config import connectors, layers, secrets, sections
from longwire.config.accounts import Draft, Shared, drafts
from longwire.config.interpreters import Describe, Interpreters
from longwire.config.layers import SETTING_KEYS
from longwire.config.options import Sources
from longwire.config.settings import Config
from longwire.config.tables import Table
from longwire.config.webhooks import webhooks
from longwire_protocol.errors import ConfigError, Problem

_TABLES: Final = ("supervisor", "defaults", "connectors", "accounts", "webhooks")
_LATER: Final = ("clients", "web")


def read_config_file(path: Path) -> str:
    """Return the text of a configuration file. Raises OSError and UnicodeDecodeError."""
    return path.read_text(encoding="utf-8")


def load(
    path: Path,
    *,
    specs: Describe,
    environ: Mapping[str, str],
    read_config: Callable[[Path], str] = read_config_file,
    read_secret: Callable[[Path], str] = secrets.read_secret_file,
) -> Config:
    """Return the configuration in the file.

    Args:
        path: the TOML file; relative paths in it count from its folder.
        specs: asks an interpreter for its connectors, as a `Describer` does; each that the file names, once.
        environ: where `env:` secrets are.
        read_config: reads the file.
        read_secret: reads the files of `file:` secrets.

    Raises:
        ConfigError: with every mistake found.
    """
    path = path.absolute()
    values = parsed(path, read_config)
    sources = Sources(path.parent, environ, read_secret)
    return _checked(values, specs=specs, sources=sources, path=path)


def from_mapping(
    values: Mapping[str, Any],
    *,
    base: Path,
    specs: Describe,
    environ: Mapping[str, str],
    read_secret: Callable[[Path], str] = secrets.read_secret_file,
    fetched: Mapping[str, secrets.Fetched] | None = None,
) -> Config:
    """Return the configuration in a mapping of the same shape as the file.

    `base` is the folder from which relative paths count, `fetched` what references into a host's vault stand
    for; the rest is as for `load`.

    Raises:
        ConfigError: with every mistake found.
    """
    sources = Sources(base.absolute(), environ, read_secret, fetched or {})
    return _checked(values, specs=specs, sources=sources, path=None)


def client_endpoint(path: Path, *, read_config: Callable[[Path], str] = read_config_file) -> str:
    """Return the first endpoint that the file gives; whatever else is wrong in it is not looked at.

    Raises:
        ConfigError: the file cannot be read, or its endpoint or data folder cannot be used.
    """
    path = path.absolute()
    problems: list[Problem] = []
    root = Table(parsed(path, read_config), place="", problems=problems)
    endpoints = sections.endpoints(root.table("supervisor"), base=path.parent)
    if problems:
        raise ConfigError(problems)
    return endpoints[0]


def data_dir(path: Path, *, read_config: Callable[[Path], str] = read_config_file) -> Path:
    """Return the data directory that the file gives; whatever else is wrong in it is not looked at.

    Raises:
        ConfigError: the file cannot be read, or its data folder cannot be used.
    """
    path = path.absolute()
    problems: list[Problem] = []
    root = Table(parsed(path, read_config), place="", problems=problems)
    found = sections.data_dir(root.table("supervisor"), base=path.parent)
    if problems:
        raise ConfigError(problems)
    return found


def parsed(path: Path, read_config: Callable[[Path], str] = read_config_file) -> dict[str, Any]:
    """Return what the file holds, not checked.

    Raises:
        ConfigError: it cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(read_config(path))
    except OSError as exc:
        problem = f"{path} cannot be read: {exc.strerror or exc}"
    except UnicodeDecodeError:  # before its base ValueError; it knows the bytes, so it is no cause
        problem = f"{path} is not UTF-8 text"
    except (tomllib.TOMLDecodeError, RecursionError) as exc:
        problem = f"{path} is not valid TOML: {exc}"
    raise ConfigError([Problem("", problem)])


def _checked(values: Mapping[str, Any], *, specs: Describe, sources: Sources, path: Path | None) -> Config:
    problems: list[Problem] = []
    root = Table(values, place="", problems=problems)
    _check_tables(root)
    supervisor = sections.supervisor_settings(root.table("supervisor"), base=sources.base)
    interpreters = Interpreters(specs, base=sources.base, blame=partial(root.problem, ""))
    found = _drafts(root, interpreters=interpreters, sources=sources)
    targets = webhooks(root.table("webhooks"), sources=sources)
    if problems:
        raise ConfigError(problems)
    return Config(
        supervisor=supervisor,
        accounts={draft.name: draft.finished() for draft in found},
        webhooks=targets,
        path=path,
    )


def _drafts(root: Table, *, interpreters: Interpreters, sources: Sources) -> list[Draft]:
    root.table("defaults").refuse_unknown(SETTING_KEYS)
    defaults = layers.written(root.table("defaults"), interpreters)
    layers.check([defaults])
    table = root.table("connectors")
    between = connectors.connector_layers(table, defaults, interpreters)
    shared = Shared(defaults, between)
    found = drafts(root.table("accounts"), shared, interpreters=interpreters, sources=sources)
    used = {draft.spec.name for draft in found}
    connectors.refuse_unknown(table, between, defaults, used=used, interpreters=interpreters)
    return found


def _check_tables(root: Table) -> None:
    for name in _LATER:
        if name in root:
            root.problem(name, f"this version has no [{name}]; a later one will")
    root.refuse_unknown(_TABLES, except_for=_LATER, what="table")
