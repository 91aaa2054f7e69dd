"""`longwire doctor`: what is wrong with machine, installation, configuration and the running supervisor."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from longwire.cli.output import json_option, print_json, printable
from longwire.doctor import Finding, Level, examine, gather
from longwire.doctor.findings import exit_code

_COLOURS: Final = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "red"}


@click.command()
@click.option(
    "--probe", is_flag=True, help="Try the credentials on the platforms, too, and compare the clock."
)
@json_option
@click.pass_context
def doctor(ctx: click.Context, *, probe: bool, as_json: bool) -> None:
    """Look for what is wrong: configuration, interpreters and SDKs, limits, disk, rights, supervisor.

    Changes nothing, and needs no supervisor. Each finding says what to do. The exit code is 0 where there is
    no error; else 78 (configuration, installation), 77 (rights, credentials), 69 (a supervisor that does not
    answer) or 75 (the machine lacks something), the first of these that applies.
    """
    path: Path = ctx.obj
    findings = examine(gather(path, environ=os.environ, probe=probe))
    code = exit_code(findings)
    if as_json:
        print_json({"ok": code == 0, "findings": findings})
    else:
        for finding in findings:
            _print(finding)
    ctx.exit(code)


def _print(finding: Finding) -> None:
    level = click.style(f"{finding.level:8}", fg=_COLOURS.get(finding.level))
    click.echo(f"{level} {finding.check:14} {printable(finding.message)}")
    if finding.action:
        click.echo(f"{'':24}-> {printable(finding.action)}")
