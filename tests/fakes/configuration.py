"""Configurations without files: made-up connectors, and how their accounts are read or refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from longwire.config import Config, from_mapping
from longwire_protocol.declaration import ConnectorSpec, Constraints, OptionSpec
from longwire_protocol.errors import ConfigError, Problem

BASE = Path("/srv/bots")

LARK = ConnectorSpec(
    name="lark",
    distribution="longwire 0.1.0",
    platform="lark",
    options=(
        OptionSpec(name="app_id", type="string", required=True, description="The App ID of the app."),
        OptionSpec(
            name="app_secret",
            type="string",
            required=True,
            is_secret=True,
            constraints=Constraints(min_length=4),
        ),
        OptionSpec(
            name="domain", type="string", constraints=Constraints(pattern="^https?://"), default="https://x"
        ),
    ),
    identity="app_id",
    is_forkable=True,
)
DINGTALK = ConnectorSpec(
    name="dingtalk",
    options=(OptionSpec(name="client_id", type="string", required=True),),
    identity="client_id",
    backoff_initial_s=20.0,
    backoff_max_s=300.0,
    link_burst=3,
)
KITCHEN_SINK = ConnectorSpec(
    name="sink",
    options=(
        OptionSpec(name="level", type="integer", constraints=Constraints(ge=1, le=5)),
        OptionSpec(name="ratio", type="number", constraints=Constraints(gt=0)),
        OptionSpec(name="quick", type="boolean"),
        OptionSpec(name="mode", type="string", choices=("a", "b")),
        OptionSpec(name="tags", type="array of string", constraints=Constraints(min_length=2)),
        OptionSpec(name="extra", type="any"),
    ),
)
BROKEN = ConnectorSpec(name="broken", distribution="acme-bots 2.0", error="ImportError: no module named acme")
SPECS = {spec.name: spec for spec in (LARK, DINGTALK, KITCHEN_SINK, BROKEN)}

OTHER, THIRD = "/opt/other/bin/python", "/opt/third/bin/python"
"""Interpreters that have connectors of their own."""
EXTRA = ConnectorSpec(name="extra", platform="extra", methods=("wave",))
ELSEWHERE = {spec.name: spec for spec in (LARK, DINGTALK, EXTRA)}

LARK_ACCOUNT: Mapping[str, Any] = {"connector": "lark", "app_id": "cli_1", "app_secret": "s3cret-value"}


def specs_of(python: str | None) -> Mapping[str, ConnectorSpec]:
    """Return what is installed in our own interpreter and in the others; there is no fourth."""
    if python is None:
        return SPECS
    if python in {OTHER, THIRD}:
        return ELSEWHERE
    raise ConfigError([Problem("", f"no connectors in {python}")])


def unreadable(path: Path) -> str:
    raise FileNotFoundError(2, "No such file or directory", str(path))


def read(
    values: Mapping[str, Any],
    *,
    environ: Mapping[str, str] | None = None,
    specs: Mapping[str, ConnectorSpec] | None = None,
    files: Mapping[str, str] | None = None,
) -> Config:
    def read_secret(path: Path) -> str:
        return files[str(path)] if files and str(path) in files else unreadable(path)

    describe = specs_of if specs is None else lambda _python: specs
    return from_mapping(values, base=BASE, specs=describe, environ=environ or {}, read_secret=read_secret)


def problems(values: Mapping[str, Any], **how: Any) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        read(values, **how)
    found = {problem.place: problem.message for problem in caught.value.problems}
    assert len(found) == len(caught.value.problems), "one place, one problem"
    return found


def lark(**more: Any) -> dict[str, Any]:
    return {**LARK_ACCOUNT, **more}


def one(**more: Any) -> dict[str, Any]:
    return {"accounts": {"acme": lark(**more)}}
