"""`longwire simulate`: the platforms' simulators, in this process's place.

They belong to the connectors, which the parent does not import; so the process becomes another program.
"""

from __future__ import annotations

import os
import sys

import click

from longwire.cli.output import json_option
from longwire.environment import child_environment

MAX_PORT = 0xFFFF


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, MAX_PORT),
    default=0,
    show_default=True,
    help="Where to listen on 127.0.0.1; 0 takes a free port.",
)
@click.option(
    "--time-scale",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Divide the platforms' long waits by this.",
)
@json_option
def simulate(port: int, time_scale: float, *, as_json: bool) -> None:
    """Run the Lark and DingTalk simulators on one loopback port until SIGINT or SIGTERM.

    Prints the URL for Lark's `domain` and DingTalk's `api_base` once it listens.
    """
    command = [sys.executable, "-P", "-m", "longwire_connectors.simulator"]
    options = [f"--port={port}", f"--time-scale={time_scale!r}", *(["--json"] if as_json else [])]
    os.execve(sys.executable, [*command, *options], child_environment(os.environ))  # noqa: S606
