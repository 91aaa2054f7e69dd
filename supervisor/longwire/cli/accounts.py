"""`longwire accounts`: look at accounts and steer them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from longwire.cli.changes import (
    ask_for_change,
    read_secrets,
    read_table,
    refuse_two_readers,
    show_changes,
    table_option,
)
from longwire.cli.connection import ask
from longwire.cli.exits import exit_code
from longwire.cli.output import json_option, print_json
from longwire_protocol.client import Client
from longwire_protocol.errors import CommandError

_Names = tuple[str, ...]

_names = click.argument("names", metavar="NAME...", nargs=-1, required=True)
_name = click.argument("name")
_from = table_option("account")
_secrets = click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="KEY=SOURCE",
    help="A secret key's value: env:NAME or file:PATH of this command, or - for standard input.",
)


@click.group()
def accounts() -> None:
    """List, show, start, stop, restart, add, update and remove accounts."""


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
@_name
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


@accounts.command()
@_name
@_from
@_secrets
@json_option
@click.pass_obj
def add(config: Path, name: str, source: str | None, secrets: _Names, *, as_json: bool) -> None:
    """Run one account more, until the supervisor is restarted; the file is not changed."""
    refuse_two_readers(source, secrets)
    params = {"account": name, "config": read_table(source), "secrets": read_secrets(secrets)}
    show_changes(ask_for_change(config, "account.add", params), as_json=as_json)


@accounts.command()
@_name
@_from
@_secrets
@click.option("--unset", multiple=True, metavar="KEY", help="A key to take away, so that its default counts.")
@json_option
@click.pass_obj
def update(
    config: Path, name: str, source: str | None, secrets: _Names, unset: _Names, *, as_json: bool
) -> None:
    """Change keys of an account, until the supervisor is restarted; the file is not changed.

    Keys that are not named stay as they are. The account is stopped and started anew.
    """
    refuse_two_readers(source, secrets)
    keys = {**dict.fromkeys(unset), **read_table(source)}
    params = {"account": name, "config": keys, "secrets": read_secrets(secrets)}
    show_changes(ask_for_change(config, "account.update", params), as_json=as_json)


@accounts.command()
@_name
@json_option
@click.pass_obj
def remove(config: Path, name: str, *, as_json: bool) -> None:
    """Stop an account and forget it, until the supervisor is restarted; the file is not changed."""
    show_changes(ask_for_change(config, "account.remove", {"account": name}), as_json=as_json)


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
