"""`longwire check`: is the configuration right, and if not, everything that is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from longwire.cli.exits import ExitCode
from longwire.cli.output import json_option, print_json
from longwire.config import Config, Describer, load
from longwire_protocol.errors import ConfigError


@click.command()
@json_option
@click.pass_context
def check(ctx: click.Context, *, as_json: bool) -> None:
    """Check the configuration; print every error with its place.

    Secrets are looked up, too. Nothing is connected to, and no supervisor is needed.
    """
    path: Path = ctx.obj
    found = _read(path)
    problems = () if isinstance(found, Config) else found.problems
    if as_json:
        print_json({"ok": not problems, "problems": problems})
    elif isinstance(found, Config):
        click.echo(f"{path}: fine; accounts: {', '.join(found.accounts) or 'none'}")
    for problem in () if as_json else problems:
        click.echo(str(problem))
    ctx.exit(ExitCode.CONFIGURATION if problems else ExitCode.OK)


def _read(path: Path) -> Config | ConfigError:
    try:
        return load(path, specs=Describer(), environ=os.environ)
    except ConfigError as exc:
        return exc
