"""`longwire status`: the supervisor and every account."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from longwire.cli.connection import ask
from longwire.cli.output import json_option, print_json


@click.command()
@click.option("--tenant", help="Only this tenant's accounts.")
@json_option
@click.pass_obj
def status(config: Path, *, tenant: str | None, as_json: bool) -> None:
    """Show the supervisor and every account."""
    data: dict[str, Any] = ask(config, lambda client: client.call("status", tenant=tenant))
    if as_json:
        print_json(data)
    else:
        from longwire.cli.render import show_status  # noqa: PLC0415  # rich is not needed for --json

        show_status(data)
