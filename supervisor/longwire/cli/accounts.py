"""`longwire accounts`: look at accounts and steer them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from longwire.cli.connection import ask
from longwire.cli.exits import exit_code
from longwire.cli.output import json_option, print_json
from longwire_protocol.client import Client
from longwire_protocol.errors import CommandError

_Names = tuple[str, ...]

_names = click.argument("names", metavar="NAME...", nargs=-1, required=True)


@click.group()
def accounts() -> None:
    """List, show, start, stop and restart accounts."""


@accounts.command("list")
@json_option
@click.pass_obj
def list_(config: Path, *, as_json: bool) -> None:
    """List every account."""
    found: list[dict[str, Any]] = ask(config, lambda client: client.call("account.list"))
    if as_json:
        print_json(found)
    else:
        from longwire.cli.render import show_accounts  # noqa: PLC0415  # rich is not needed for --json

        show_accounts(found)


@accounts.command()
@click.argument("name")
@json_option
@click.pass_obj
def show(config: Path, name: str, *, as_json: bool) -> None:
    """Show all that is known of an account."""
    found: dict[str, Any] = ask(config, lambda client: client.call("account.get", {"account": name}))
    if as_json:
        print_json(found)
    else:
        from longwire.cli.render import show_account  # noqa: PLC0415  # rich is not needed for --json

        show_account(found)


@accounts.command()
@_names
@json_option
@click.pass_context
def start(ctx: click.Context, names: _Names, *, as_json: bool) -> None:
    """Start accounts; returns when it is on its way."""
    _steer(ctx, "start", names, as_json=as_json)


@accounts.command()
@_names
@json_option
@click.pass_context
def stop(ctx: click.Context, names: _Names, *, as_json: bool) -> None:
    """Stop accounts; returns when it is on its way."""
    _steer(ctx, "stop", names, as_json=as_json)


@accounts.command()
@_names
@json_option
@click.pass_context
def restart(ctx: click.Context, names: _Names, *, as_json: bool) -> None:
    """Restart accounts, parked ones too; returns when it is on its way."""
    _steer(ctx, "restart", names, as_json=as_json)


def _steer(ctx: click.Context, verb: str, names: _Names, *, as_json: bool) -> None:
    """Ask for each account; one that is refused does not keep the others from being asked for."""

    async def each(client: Client) -> dict[str, Any]:
        return {name: await _one(client, verb, name) for name in dict.fromkeys(names)}

    answers = ask(ctx.obj, each)
    refused = {name: answer for name, answer in answers.items() if isinstance(answer, CommandError)}
    taken = {name: answer for name, answer in answers.items() if name not in refused}
    if as_json:
        print_json(taken)
    else:
        for name in taken:
            click.echo(f"{name}: {verb} is on its way")
    for name, error in refused.items():
        click.echo(f"longwire: {name}: {error}", err=True)
    if refused:
        ctx.exit(exit_code(next(iter(refused.values()))))


async def _one(client: Client, verb: str, name: str) -> Any:
    try:
        return await client.call(f"account.{verb}", {"account": name})
    except CommandError as exc:
        return exc
