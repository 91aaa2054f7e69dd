"""`longwire logs`: the last lines of the log, and those that come."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

import click
import msgspec

from longwire.cli.connection import VARIABLE, ask
from longwire.cli.output import json_option, print_json, printable
from longwire.config import data_dir
from longwire.logbook import LOG
from longwire_protocol.client import Client
from longwire_protocol.errors import CommandError, ConfigError, RetCode, SupervisorUnreachable

_LINES, _MOST_LINES = 100, 10_000
"""A screen or two; and what one request may ask for."""

_WAIT_MS: Final = 5_000
_DEADLINE_S: Final = 10.0
"""How long one request waits for lines, and when a supervisor that did not answer it is told to be away."""

_UNITS_S: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}

_COLOURS: Final = {"warning": "yellow", "error": "red", "critical": "red"}

_SHOWN_BEFORE: Final = frozenset(
    {"time", "timestamp", "level", "account", "event", "tenant", "source", "logger"}
)
"""Fields that a person sees at the beginning of a line, or does not need; `--json` has all."""

_Form = Literal["json", "text"]


def _ago(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Return the moment that lies so long ago, in Unix seconds."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d{1,9})([smhd]?)", value, re.ASCII)
    if match is None:
        raise click.BadParameter(f"{value!r} is no time as 90s, 10m, 2h or 1d", ctx=ctx, param=param)
    return max(0.0, time.time() - int(match[1]) * _UNITS_S[match[2]])


@click.command()
@click.argument("account", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0, max=_MOST_LINES),
    help=f"How many of the last lines; {_LINES}, or with --since {_MOST_LINES}, if not given.",
)
@click.option("--since", metavar="AGO", callback=_ago, help="Only what is younger: 90s, 10m, 2h, 1d.")
@click.option(
    "--level",
    type=click.Choice(["debug", "info", "warning", "error", "critical"]),
    help="Only what is at least so important.",
)
@json_option
@click.pass_obj
def logs(
    config: Path,
    *,
    account: str | None,
    follow: bool,
    lines: int | None,
    since: float | None,
    level: str | None,
    as_json: bool,
) -> None:
    """Print the last lines of the log: all, or those about ACCOUNT and of its process.

    Lines of earlier runs of the supervisor are among them. With --json, one object per line.
    """
    if lines is None:
        lines = _LINES if since is None else _MOST_LINES
    given = {"account": account, "level": level, "since": since}
    params = {name: value for name, value in given.items() if value is not None}
    form: _Form = "json" if as_json else "text"

    async def read(client: Client) -> None:
        reply = await client.call("logs.tail", {**params, "lines": lines})
        _print(reply, form, is_all=len(reply["lines"]) < lines)
        if follow:
            await _follow(client, params, reply, form)

    try:
        ask(config, read)
    except KeyboardInterrupt:
        if not follow:
            raise
    except SupervisorUnreachable as exc:
        raise SupervisorUnreachable(f"{exc}; its last lines are in {_file(config)}") from exc


def _file(config: Path) -> str:
    """Return where to read what a supervisor left that does not answer."""
    with suppress(ConfigError):
        if VARIABLE not in os.environ:  # which may lead to another supervisor than the file describes
            return str(data_dir(config) / LOG)
    return f"{LOG} of its data directory"


async def _follow(client: Client, params: Mapping[str, Any], reply: dict[str, Any], form: _Form) -> None:
    """Print what comes, for ever; say when the supervisor is another one."""
    while True:
        before = reply["supervisor_id"]
        wanted = {**params, "after": reply["cursor"], "wait_ms": _WAIT_MS, "lines": _MOST_LINES}
        reply = await _ask_until_answered(client, wanted)
        if reply["supervisor_id"] != before:
            _say("the supervisor was restarted")
        _print(reply, form, is_all=True)


async def _ask_until_answered(client: Client, params: dict[str, Any]) -> dict[str, Any]:
    is_lost = False
    while True:
        try:
            reply: dict[str, Any] = await client.call("logs.tail", params, deadline_s=_DEADLINE_S)
        except (SupervisorUnreachable, CommandError) as exc:
            if isinstance(exc, CommandError) and exc.retcode != RetCode.DEADLINE_EXCEEDED:
                raise
            if not is_lost:
                _say("lost the supervisor; waiting for it")
            is_lost = True
        else:
            return reply


def _print(reply: Mapping[str, Any], form: _Form, *, is_all: bool) -> None:
    """Print the lines; before them, where they do not follow on what came before, how many are missing."""
    if reply["left_out"]:
        _say(
            f"{reply['left_out']} lines before these do not fit; ask for less by ACCOUNT, --level or --since"
        )
    elif is_all and reply["dropped"]:
        _say(f"{reply['dropped']} lines before these were dropped, for there was no room")
    for line in reply["lines"]:
        if form == "json":
            print_json(line)
        else:
            click.echo(_text(line))


def _say(text: str) -> None:
    click.echo(f"longwire: {text}", err=True)


def _text(line: Mapping[str, Any]) -> str:
    """Return a line for people: when, how important, about whom, what; a traceback on lines of its own."""
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(line["time"]))
    level = line.get("level", "")
    rest = {name: value for name, value in line.items() if name not in _SHOWN_BEFORE}
    trace = rest.pop("exception", None)
    fields = [f"{name}={_value(value)}" for name, value in rest.items()]
    parts = [
        clock,
        click.style(f"{level:8}", fg=_COLOURS.get(level)),
        *map(printable, [line.get("account", "-"), line.get("event", ""), *fields]),
    ]
    below = [f"    {printable(each)}" for each in str(trace).splitlines()] if trace else []
    return "\n".join([" ".join(parts), *below])


def _value(value: object) -> str:
    """Return a value as it is, or quoted where its end would not be seen."""
    if isinstance(value, str) and value and not re.search(r"[\s\"=]", value):
        return value
    return msgspec.json.encode(value).decode()
