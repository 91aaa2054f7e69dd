"""`longwire webhooks`: look at the targets that events are posted to, and change them."""

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
from longwire.cli.exits import ExitCode
from longwire.cli.output import json_option, print_json, printable

_Names = tuple[str, ...]

_name = click.argument("name")
_from = table_option("webhook")
_url = click.option("--url", metavar="URL", help="Where events are posted: the key url.")
_secrets = click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="secret=SOURCE",
    help="The secret: env:NAME or file:PATH of this command, or - for standard input. Twice to rotate it.",
)


@click.group()
def webhooks() -> None:
    """List, add, update, remove and test the targets that events are posted to."""


@webhooks.command("list")
@click.option("--tenant", help="Only of this tenant.")
@json_option
@click.pass_obj
def list_(config: Path, *, tenant: str | None, as_json: bool) -> None:
    """List every webhook, and how it is."""
    found: list[dict[str, Any]] = ask(config, lambda client: client.call("webhook.list", tenant=tenant))
    if as_json:
        print_json(found)
    else:
        from longwire.cli.render import show_webhooks  # noqa: PLC0415  # rich is not needed for --json

        show_webhooks(found)


@webhooks.command()
@_name
@_url
@_from
@_secrets
@json_option
@click.pass_obj
def add(
    config: Path, name: str, url: str | None, source: str | None, secrets: _Names, *, as_json: bool
) -> None:
    """Post to one target more, until the supervisor is restarted; the file is not changed."""
    refuse_two_readers(source, secrets)
    params = _params(name, _table(url, source), secrets)
    show_changes(ask_for_change(config, "webhook.add", params), as_json=as_json, what="webhook")


@webhooks.command()
@_name
@_url
@_from
@_secrets
@click.option("--unset", multiple=True, metavar="KEY", help="A key to take away, so that its default counts.")
@json_option
@click.pass_obj
def update(  # click's parameters are the command line
    config: Path,
    name: str,
    url: str | None,
    source: str | None,
    secrets: _Names,
    unset: _Names,
    *,
    as_json: bool,
) -> None:
    """Change keys of a webhook, until the supervisor is restarted; the file is not changed.

    Keys that are not named stay as they are. A disabled webhook is tried again.
    """
    refuse_two_readers(source, secrets)
    params = _params(name, {**dict.fromkeys(unset), **_table(url, source)}, secrets)
    show_changes(ask_for_change(config, "webhook.update", params), as_json=as_json, what="webhook")


@webhooks.command()
@_name
@json_option
@click.pass_obj
def remove(config: Path, name: str, *, as_json: bool) -> None:
    """Post to a target no more, and forget its position, until the supervisor is restarted."""
    answer = ask_for_change(config, "webhook.remove", {"webhook": name})
    show_changes(answer, as_json=as_json, what="webhook")


@webhooks.command()
@_name
@json_option
@click.pass_context
def test(ctx: click.Context, name: str, *, as_json: bool) -> None:
    """Post a made-up event of type webhook.test to a target now, and say what it answered."""
    found: dict[str, Any] = ask(ctx.obj, lambda client: client.call("webhook.test", {"webhook": name}))
    if as_json:
        print_json(found)
    else:
        status = "" if found["status"] is None else f" with {found['status']}"
        message = f": {printable(found['message'])}" if found["message"] else ""
        click.echo(f"{name}: {found['outcome']}{status} in {found['duration_s']:.3f} s{message}")
    ctx.exit(ExitCode.OK if found["outcome"] == "delivered" else ExitCode.TRY_AGAIN)


def _table(url: str | None, source: str | None) -> dict[str, Any]:
    return {**read_table(source), **({} if url is None else {"url": url})}


def _params(name: str, table: dict[str, Any], given: _Names) -> dict[str, Any]:
    """Return the params of a change; a secret that is given several times is being rotated."""
    each = [read_secrets([one]) for one in given]
    keys = {key: [one[key] for one in each if key in one] for one in each for key in one}
    secrets = {key: values[0] if len(values) == 1 else values for key, values in keys.items()}
    return {"webhook": name, "config": table, "secrets": secrets}
