"""`longwire send`: a text to a chat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from longwire.cli.connection import ask
from longwire.cli.output import json_option, print_json


@click.command()
@click.argument("account")
@click.argument("chat")
@click.argument("text")
@json_option
@click.pass_obj
def send(config: Path, account: str, chat: str, text: str, *, as_json: bool) -> None:
    """Send TEXT to the chat with the id CHAT, as the bot of ACCOUNT."""
    data: Any = ask(config, lambda client: client.send(account, chat, text))
    if as_json:
        print_json(data)
    else:
        click.echo("sent")
