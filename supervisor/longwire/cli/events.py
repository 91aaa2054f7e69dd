"""`longwire events`: read the journal."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal, cast

import click

from longwire.cli.connection import ask
from longwire.cli.output import json_option, print_json, printable
from longwire_protocol.client import Client
from longwire_protocol.event import Event
from longwire_protocol.subscription import Start, Subscription


def _start(ctx: click.Context, param: click.Parameter, value: str) -> Start:
    """Return where to begin: `new`, `all` or a sequence number."""
    match value:
        case "new" | "all":
            return value
        case _ if value.isascii() and value.isdecimal():
            return int(value)
        case _:
            message = f"{value!r} is neither a sequence number nor 'all' nor 'new'"
            raise click.BadParameter(message, ctx=ctx, param=param)


@click.group()
def events() -> None:
    """Read the journal."""


@events.command()
@click.option(
    "--from",
    "start",
    metavar="SEQ|all|new",
    callback=_start,
    default="new",
    show_default=True,
    help="Where to begin.",
)
@click.option("--account", "accounts", multiple=True, help="Only of this account; may be repeated.")
@click.option("--type", "types", multiple=True, help="Only of this type; may be repeated.")
@click.option("--count", type=click.IntRange(min=1), help="End after so many events.")
@json_option
@click.pass_obj
def tail(
    config: Path,
    *,
    start: Start,
    accounts: tuple[str, ...],
    types: tuple[str, ...],
    count: int | None,
    as_json: bool,
) -> None:
    """Follow the journal until Ctrl-C; with --json, one object per line.

    Nothing is taken away from other readers, and nothing is remembered.
    """

    async def follow(client: Client) -> None:
        subscription = client.subscribe(start=start, accounts=[*accounts] or None, types=[*types] or None)
        await _print_all(subscription, count, form="json" if as_json else "text")

    try:
        ask(config, follow)
    except KeyboardInterrupt:
        return  # that is how one ends it


async def _print_all(subscription: Subscription, count: int | None, *, form: Literal["json", "text"]) -> None:
    printed = 0
    async for event in subscription:
        if form == "json":
            print_json(event)
        else:
            click.echo(_line(event))
        await event.ack()
        printed += 1
        if printed == count:
            return


def _line(event: Event) -> str:
    """Return the event as one line: time, position, account, type, chat, and who said what."""
    clock = time.strftime("%H:%M:%S", time.localtime(event.time))
    chat = event.chat.name or event.chat.id if event.chat else None
    sender = event.sender.name or event.sender.id if event.sender else None
    said = ": ".join(part for part in (sender, event.text or _state(event)) if part)
    parts = (clock, str(event.seq), event.account, event.type, f"[{chat}]" if chat else None, said)
    return printable("  ".join(part for part in parts if part))


def _state(event: Event) -> str | None:
    """Return what an `account.status` says in a word."""
    raw: object = event.raw
    if event.type != "account.status" or not isinstance(raw, dict):
        return None
    known = cast("dict[str, object]", raw)
    return " ".join(str(known[key]) for key in ("state", "reason") if known.get(key))
