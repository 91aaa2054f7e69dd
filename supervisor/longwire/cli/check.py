"""`longwire check`: is the configuration right, and with `--probe`: do the platforms take the credentials."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from longwire.cli.exits import ExitCode
from longwire.cli.output import in_readers_words, json_option, print_json, printable
from longwire.config import Config, Describer, load
from longwire.probe import Checked, Prober
from longwire_protocol.errors import ConfigError
from longwire_protocol.link import Fault


@click.command()
@click.option("--probe", is_flag=True, help="Try each account's credentials on its platform, too.")
@json_option
@click.pass_context
def check(ctx: click.Context, *, probe: bool, as_json: bool) -> None:
    """Check the configuration; print every error with its place.

    Secrets are looked up, too. No supervisor is needed, and none is disturbed. Without --probe nothing is
    connected to; with it, each platform is asked for a token, which takes no connection away. Then the exit
    code is 77 where a platform refuses, and 75 where one cannot be asked.
    """
    path: Path = ctx.obj
    found = _read(path)
    problems = () if isinstance(found, Config) else found.problems
    probed = Prober()(found.accounts.values()) if probe and isinstance(found, Config) else []
    if as_json:
        answer = {"ok": not problems and all(each.ok for each in probed), "problems": problems}
        print_json({**answer, "accounts": probed} if probe else answer)
    else:
        _print(path, found, probed)
    ctx.exit(ExitCode.CONFIGURATION if problems else exit_code(probed))


def _print(path: Path, found: Config | ConfigError, probed: Sequence[Checked]) -> None:
    if isinstance(found, Config):
        webhooks = f"; webhooks: {', '.join(found.webhooks)}" if found.webhooks else ""
        click.echo(f"{path}: fine; accounts: {', '.join(found.accounts) or 'none'}{webhooks}")
    else:
        for problem in found.problems:
            click.echo(str(problem))
    for each in probed:
        advice = in_readers_words(each.user_action, each.user_action_zh) if each.user_action else None
        click.echo(printable(f"{each}. {advice}" if advice else str(each)))


def exit_code(probed: Sequence[Checked]) -> ExitCode:
    """Return what the verb ends with: a refusal needs the operator, what cannot be asked may pass."""
    faults = {each.fault for each in probed if not each.ok}
    if Fault.PERMANENT in faults:
        return ExitCode.NOT_PERMITTED
    return ExitCode.TRY_AGAIN if faults else ExitCode.OK


def _read(path: Path) -> Config | ConfigError:
    try:
        return load(path, specs=Describer(), environ=os.environ)
    except ConfigError as exc:
        return exc
