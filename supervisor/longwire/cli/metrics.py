"""`longwire metrics`: the supervisor's metrics for Prometheus, printed once or served.

Served, they are a process of its own and a client like any other: the supervisor is asked for its status when
somebody scrapes, and for nothing else.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import click

from longwire.cli.connection import ask, endpoint
from longwire.cli.exits import ExitCode, NotPermitted
from longwire.cli.output import json_option, print_json
from longwire_protocol.errors import (
    CommandError,
    ConfigError,
    LongwireError,
    Problem,
    SupervisorUnreachable,
)

REQUIREMENT: Final = "prometheus-client>=0.21,<1"
"""What the extra `metrics` installs."""

_LOOPBACK: Final = "127.0.0.1"
_MAX_PORT: Final = 0xFFFF
_ADDRESS: Final = re.compile(r"(?:(?:\[([0-9a-f:.]+)\]|([^\s:/\[\]]*)):)?([0-9]{1,5})", re.IGNORECASE)
"""PORT, :PORT, HOST:PORT or [IPV6]:PORT."""

_STATUS_S: Final = 2.0
"""How long a status may take. With the client's 3 s to connect, and its 4 s more for an answer that is late,
a scrape of a supervisor that hangs is answered within the 10 s that Prometheus waits by default."""

_Address = tuple[str, int]


def _address(ctx: click.Context, param: click.Parameter, value: str | None) -> _Address | None:
    """Return host and port."""
    if value is None:
        return None
    match = _ADDRESS.fullmatch(value)
    if match is None or int(match[3]) > _MAX_PORT:
        raise click.BadParameter(f"{value!r} is no HOST:PORT", ctx=ctx, param=param)
    return match[1] or match[2] or _LOOPBACK, int(match[3])


@click.command()
@click.option(
    "--listen",
    metavar="[HOST:]PORT",
    callback=_address,
    help=f"Serve them over HTTP until SIGINT or SIGTERM; on {_LOOPBACK} unless HOST is given. "
    "Port 0 takes a free one.",
)
@json_option
@click.pass_context
def metrics(ctx: click.Context, *, listen: _Address | None, as_json: bool) -> None:
    """Print the metrics of supervisor, accounts and webhooks in the text format of Prometheus.

    A supervisor that does not answer is `longwire_up 0`, and exit code 69. With --listen they are served
    at the URL that is printed, and each scrape asks the supervisor anew; it may come and go meanwhile.
    """
    if find_spec("prometheus_client") is None:
        text = f"prometheus-client is missing: {sys.executable} -m pip install '{REQUIREMENT}'"
        raise ConfigError([Problem("", text)])
    if listen is None:
        _print(ctx.obj, as_json=as_json)
    else:
        _serve(ctx, listen, as_json=as_json)


def _print(config: Path, *, as_json: bool) -> None:
    """Print them once; also that there is no supervisor, for who collects what is printed."""
    try:
        status = _ask(config)
    except (SupervisorUnreachable, CommandError):
        _write(None, as_json=as_json)
        raise
    _write(status, as_json=as_json)


def _write(status: dict[str, Any] | None, *, as_json: bool) -> None:
    from prometheus_client import generate_latest  # noqa: PLC0415  # an extra

    from longwire.metrics.families import as_data, families  # noqa: PLC0415
    from longwire.metrics.server import Page  # noqa: PLC0415

    if as_json:
        print_json(as_data(families(status)))
    else:
        click.echo(generate_latest(Page(lambda: status)), nl=False)


def _serve(ctx: click.Context, address: _Address, *, as_json: bool) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    endpoint(ctx.obj, os.environ)  # raises: who started it shall hear that it can never find a supervisor

    from longwire.metrics.server import Page, Server  # noqa: PLC0415  # an extra

    try:
        server = Server(*address, Page(_Supervisor(ctx.obj)))
    except socket.gaierror as exc:
        raise click.UsageError(f"--listen: {address[0]}: {exc.strerror}") from exc
    except PermissionError as exc:
        raise NotPermitted(f"--listen: port {address[1]}: {exc.strerror}") from exc
    except OSError as exc:
        click.echo(f"longwire: --listen: {address[0]}, port {address[1]}: {exc.strerror}", err=True)
        ctx.exit(ExitCode.TRY_AGAIN)
    with server:
        if as_json:
            print_json({"url": server.url})
        else:
            click.echo(f"metrics are at {server.url}")
        server.serve_forever()


class _Supervisor:
    """Asks for its status; tells once when it does not answer any more, and once when it does again."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._is_up = True

    def __call__(self) -> dict[str, Any] | None:
        """Return it; `None` if there is no answer."""
        try:
            status = _ask(self._config)
        except LongwireError as exc:
            if self._is_up:
                click.echo(f"longwire: {exc}", err=True)
            self._is_up = False
            return None
        if not self._is_up:
            click.echo("longwire: the supervisor answers again", err=True)
        self._is_up = True
        return status


def _ask(config: Path) -> dict[str, Any]:
    status: dict[str, Any] = ask(config, lambda client: client.call("status", deadline_s=_STATUS_S))
    return status


def _leave(_number: int, _frame: object) -> None:
    """End at once: nothing here is worth waiting for."""
    sys.exit(ExitCode.OK)
