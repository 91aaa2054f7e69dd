"""`longwire send`: a text to a chat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from longwire.cli.connection import ask
from longwire.cli.output import json_option, print_json
from longwire_protocol.replies import Accepted


@click.command()
@click.argument("account")
@click.argument("chat")
@click.argument("text")
@click.option(
    "--deadline",
    "deadline_s",
    type=click.FloatRange(min=0.1, max=600),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Until when it may be sent: it waits for the account, and for the platform's limits.",
)
@click.option("--no-wait", is_flag=True, help="Do not wait for the outcome: print the receipt.")
@json_option
@click.pass_obj
def send(
    config: Path, account: str, chat: str, text: str, *, deadline_s: float, no_wait: bool, as_json: bool
) -> None:
    """Send TEXT to the chat with the id CHAT, as the bot of ACCOUNT."""
    wait_ms = 0 if no_wait else None
    data: Any = ask(
        config,
        lambda client: client.send(account, chat, text=text, deadline_s=deadline_s, wait_ms=wait_ms),
    )
    if as_json:
        print_json(data)
    elif isinstance(data, Accepted):
        click.echo(f"accepted: receipt {data.receipt}")
    else:
        click.echo("sent")
