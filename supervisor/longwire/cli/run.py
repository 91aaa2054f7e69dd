"""`longwire run`: the supervisor in the foreground."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from pathlib import Path

import click
import structlog

from longwire import logs
from longwire.config import Config, load, load_specs
from longwire.supervisor import Supervisor
from longwire_protocol.declaration import ConnectorSpec

_log = structlog.get_logger("longwire.supervisor")


@click.command()
@click.option(
    "--log-format",
    type=click.Choice(["console", "json"]),
    help="How log lines look: for people, or one JSON object each. By default for people on a terminal.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="The least important lines shown.",
)
@click.pass_obj
def run(config_path: Path, log_format: logs.Format | None, log_level: str) -> None:
    """Run the supervisor in the foreground, until SIGTERM or SIGINT."""
    specs = load_specs()
    config = load(config_path, specs=specs, environ=os.environ)
    secrets = [secret for account in config.accounts.values() for secret in account.secret_values()]
    logs.configure(
        format_=log_format or ("console" if sys.stderr.isatty() else "json"),
        level=log_level,
        secrets=secrets,
    )
    _raise_descriptor_limit()
    asyncio.run(_run(config, specs))


async def _run(config: Config, specs: dict[str, ConnectorSpec]) -> None:
    supervisor = Supervisor(config, specs=specs, environ=os.environ)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    loop.add_signal_handler(signal.SIGHUP, _log.warning, "reload_not_supported")
    await supervisor.run()


def _raise_descriptor_limit() -> None:
    """Each child costs three descriptors; the soft limit of 1,024 is for programs that use select(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
