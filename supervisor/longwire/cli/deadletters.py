"""`longwire deadletters`: events that a subscription gave up."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from longwire.cli.connection import ask
from longwire.cli.output import json_option, print_json, printable
from longwire_protocol.client import Client

_subscription = click.option("--subscription", metavar="NAME", help="Only of this subscription.")
_seqs = click.option("--seq", "seqs", type=int, multiple=True, help="Only this event; may be repeated.")
_tenant = click.option("--tenant", help="Only of this tenant's events.")
_all = click.option("--all", "is_all", is_flag=True, help="Of every subscription.")


@click.group()
def deadletters() -> None:
    """Look after events that a subscription gave up, after too many failures."""


@deadletters.command("list")
@_subscription
@_seqs
@_tenant
@json_option
@click.pass_obj
def list_(
    config: Path, *, subscription: str | None, seqs: tuple[int, ...], tenant: str | None, as_json: bool
) -> None:
    """List them; with --json, one object per line."""

    async def show(client: Client) -> None:
        params = _params(subscription, seqs)
        after: str | None = ""
        while after is not None:
            wanted = {**params, "after": after}
            page: dict[str, Any] = await client.call("deadletter.list", wanted, tenant=tenant)
            for letter in page["deadletters"]:
                if as_json:
                    print_json(letter)
                else:
                    click.echo(_line(letter))
            after = page["next"]

    ask(config, show)


@deadletters.command()
@_subscription
@_seqs
@_all
@_tenant
@json_option
@click.pass_obj
def resubmit(config: Path, /, *, tenant: str | None, as_json: bool, **chosen: Any) -> None:
    """Deliver them to their subscription again, as if they had never failed."""
    params = _chosen(**chosen)
    data: dict[str, Any] = ask(
        config, lambda client: client.call("deadletter.resubmit", params, tenant=tenant)
    )
    if as_json:
        print_json(data)
    else:
        click.echo(f"{data['resubmitted']} resubmitted")


@deadletters.command()
@_subscription
@_seqs
@_all
@_tenant
@json_option
@click.pass_obj
def purge(config: Path, /, *, tenant: str | None, as_json: bool, **chosen: Any) -> None:
    """Delete them for good."""
    params = _chosen(**chosen)
    data: dict[str, Any] = ask(config, lambda client: client.call("deadletter.purge", params, tenant=tenant))
    if as_json:
        print_json(data)
    else:
        click.echo(f"{data['purged']} purged")


def _chosen(*, subscription: str | None, seqs: tuple[int, ...], is_all: bool) -> dict[str, Any]:
    if (subscription is None) != is_all:
        raise click.UsageError("give either --subscription NAME or --all")
    return {**_params(subscription, seqs), **({"all": True} if is_all else {})}


def _params(subscription: str | None, seqs: tuple[int, ...]) -> dict[str, Any]:
    chosen = {"subscription": subscription, "seqs": [*seqs] or None}
    return {key: value for key, value in chosen.items() if value is not None}


def _line(letter: dict[str, Any]) -> str:
    """Return the letter as one line: subscription, position, when and why it failed, whose event it was."""
    event: dict[str, Any] = letter["event"]
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(letter["last_failed_at"]))
    parts = (
        letter["subscription"],
        str(letter["seq"]),
        when,
        f"{letter['failures']} failures, last {letter['cause']}",
        "resubmitted" if letter["resubmitted_at"] else None,
        event["account"],
        event["type"],
        event.get("text"),
    )
    return printable("  ".join(part for part in parts if part))
