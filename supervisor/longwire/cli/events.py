"""`longwire events`: read the journal."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any, Literal, cast

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
    """Read the journal, and look after its readers."""


_UNITS_S = {"s": 1, "min": 60, "m": 60, "h": 3_600, "d": 86_400}


def _time_of(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Return when it was so long ago, in Unix seconds; ages are written as 90s, 5min, 1h or 2d."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|min|m|h|d)", value)
    if match is None:
        raise click.BadParameter(f"{value!r} is no age, as 90s, 5min, 1h or 2d", ctx=ctx, param=param)
    return time.time() - float(match[1]) * _UNITS_S[match[2]]


_accounts = click.option("--account", "accounts", multiple=True, help="Only of this one; may be repeated.")
_types = click.option("--type", "types", multiple=True, help="Only of this type; may be repeated.")
_tenant = click.option("--tenant", help="Only of this tenant.")
_count = click.option("--count", type=click.IntRange(min=1), help="End after so many events.")


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
@_accounts
@_types
@_tenant
@_count
@json_option
@click.pass_obj
def tail(config: Path, /, *, count: int | None, as_json: bool, **wanted: Any) -> None:
    """Follow the journal until Ctrl-C; with --json, one object per line.

    Nothing is taken away from other readers, and nothing is remembered.
    """

    async def follow(client: Client) -> None:
        await _print_all(client.subscribe(**_given(wanted)), count, form="json" if as_json else "text")

    try:
        ask(config, follow)
    except KeyboardInterrupt:
        return  # that is how one ends it


@events.command()
@click.option("--from", "first", type=click.IntRange(min=1), metavar="SEQ", help="The first event.")
@click.option("--to", "last", type=click.IntRange(min=1), metavar="SEQ", help="The last; else the newest.")
@click.option("--since", callback=_time_of, metavar="AGE", help="Not older than 90s, 5min, 1h, 2d.")
@_accounts
@_types
@_tenant
@_count
@json_option
@click.pass_obj
def replay(config: Path, /, *, count: int | None, as_json: bool, **wanted: Any) -> None:
    """Read a part of the journal again, from its oldest event on, and end; with --json, one object per line.

    Nothing is taken away from other readers, and nothing is remembered.
    """

    async def read(client: Client) -> None:
        await _print_all(client.replay(**_given(wanted)), count, form="json" if as_json else "text")

    ask(config, read)


@events.command()
@json_option
@click.pass_obj
def subscriptions(config: Path, *, as_json: bool) -> None:
    """List the subscriptions: who reads, how far, and what waits."""
    found: list[dict[str, Any]] = ask(config, lambda client: client.call("status"))["subscriptions"]
    if as_json:
        print_json(found)
    else:
        from longwire.cli.render import show_subscriptions  # noqa: PLC0415  # rich is not needed for --json

        show_subscriptions(found)


@events.command()
@click.argument("name")
@json_option
@click.pass_obj
def forget(config: Path, *, name: str, as_json: bool) -> None:
    """Delete the durable subscription NAME, its position and its dead letters."""
    params = {"subscription": name, "forget": True}
    data: dict[str, Any] = ask(config, lambda client: client.call("events.unsubscribe", params))
    if as_json:
        print_json(data)
    else:
        click.echo(f"{printable(data['subscription'])} is forgotten")


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given, as the client's methods take them."""
    return {name: [*value] if isinstance(value, tuple) else value for name, value in options.items() if value}


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
