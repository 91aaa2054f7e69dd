"""`longwire incidents`: processes that came to a bad end, and what is known of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from longwire.cli.connection import ask
from longwire.cli.output import json_option, print_json, printable


class _Incidents(click.Group):
    """Lists where no verb is given: `longwire incidents`, `longwire incidents NAME`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] in self.commands:
            return super().resolve_command(ctx, args)
        return "list", self.commands["list"], args

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Incidents)
def incidents() -> None:
    """Show processes that were killed as hung or ended unasked, and the evidence.

    Without a verb they are listed: `longwire incidents`, `longwire incidents ACCOUNT`.
    """


@incidents.command("list")
@click.argument("account", required=False)
@click.option("-n", "limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most.")
@click.option("--tenant", help="Only of this tenant's accounts.")
@json_option
@click.pass_obj
def list_(config: Path, *, account: str | None, limit: int, tenant: str | None, as_json: bool) -> None:
    """List them, the newest first."""
    params = {"account": account, "limit": limit}
    found: list[dict[str, Any]] = ask(
        config, lambda client: client.call("incident.list", params, tenant=tenant)
    )
    if as_json:
        print_json(found)
        return
    for each in found:
        click.echo(_line(each))


@incidents.command()
@click.argument("name", metavar="ID")
@json_option
@click.pass_obj
def show(config: Path, name: str, *, as_json: bool) -> None:
    """Show all that is known of one: what its process was doing, its stacks, its last log lines."""
    found: dict[str, Any] = ask(config, lambda client: client.call("incident.get", {"id": name}))
    if as_json:
        print_json(found)
    else:
        for line in _report(found):
            click.echo(printable(line))


def _line(incident: dict[str, Any]) -> str:
    parts = (incident["id"], _when(incident["at"]), incident["kind"], incident["reason"], incident["message"])
    return printable("  ".join(parts))


def _report(incident: dict[str, Any]) -> list[str]:
    findings: dict[str, Any] = incident["findings"]
    doing = f"{incident['phase']} since {_when(incident['phase_since'])}"
    lines = [_line(incident), f"process {incident['pid']}, tenant {incident['tenant']}, {doing}"]
    if findings["condition"]:
        lines.append(f"it was {findings['condition']}")
    if proc := findings["proc"]:
        lines.append(
            f"state {proc['state']}, {proc['threads']} threads, {proc['cpu_s']:.3f} s of CPU and "
            f"{proc['delay_s']:.3f} s of waiting for one in {proc['window_s']:.3f} s"
            + (f", in {proc['wchan']}" if proc["wchan"] else "")
        )
    lines += [_layer(name, layer) for name, layer in incident["liveness"].items()]
    if findings["stacks"]:
        lines += ["", "stacks:", *findings["stacks"].splitlines()]
    if incident["log"]:
        lines += ["", "its last log lines:", *incident["log"]]
    return lines


def _layer(name: str, layer: dict[str, Any]) -> str:
    from longwire.cli.render import layer as text  # noqa: PLC0415  # rich is not needed for --json

    return f"{name}: {text(layer)}"


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
