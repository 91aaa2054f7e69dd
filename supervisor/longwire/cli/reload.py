"""`longwire reload`: have the supervisor read its configuration again, and hear what came of it."""

from __future__ import annotations

from pathlib import Path

import click

from longwire.cli.changes import ask_for_change, show_changes
from longwire.cli.output import json_option


@click.command()
@json_option
@click.pass_obj
def reload(config: Path, *, as_json: bool) -> None:
    """Have the supervisor read its configuration again, as SIGHUP does.

    Only the accounts that differ are touched. With a mistake in the file nothing is changed, and every
    mistake is printed with its place.
    """
    show_changes(ask_for_change(config, "config.reload", {}), as_json=as_json)
