"""`longwire run`: the supervisor in the foreground."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import sys
from collections.abc import Collection
from pathlib import Path

import click

from longwire import logs
from longwire.configuration import Configuration
from longwire.core import Core
from longwire.logbook import Logbook
from longwire.logger import blank, get_logger
from longwire_protocol.errors import CommandError, ConfigError

_log = get_logger("longwire.supervisor")


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
    """Run the supervisor in the foreground, until SIGTERM or SIGINT; SIGHUP reads the accounts again."""
    signal.signal(signal.SIGTERM, _leave)  # PID 1 of a container has no default action
    early: set[int] = set()  # a SIGHUP that comes before there is anything to reload
    signal.signal(signal.SIGHUP, lambda number, _frame: early.add(number))
    configuration = Configuration.of_file(config_path, environ=os.environ)
    logbook = Logbook()
    logs.configure(
        format_=log_format or ("console" if sys.stderr.isatty() else "json"),
        level=log_level,
        logbook=logbook,
        secrets=[*configuration.config.secret_values()],
    )
    _raise_descriptor_limit()
    _spare_the_collector()
    asyncio.run(_run(configuration, logbook, early))


def _spare_the_collector() -> None:
    """Look for reference cycles less often: nearly all that is made are events, in none (4 %, measured).

    Here and not in `Core`, because it is the whole process's setting, and a host has its own.
    """
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def _leave(_number: int, _frame: object) -> None:
    """End at once: nothing has been started yet."""
    sys.exit(0)


async def _run(configuration: Configuration, logbook: Logbook, early: Collection[int]) -> None:
    """Run it; `early` are the signals that came before."""
    supervisor = Core(configuration, environ=os.environ, logbook=logbook, on_secrets=blank)
    loop = asyncio.get_running_loop()
    hangups = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, hangups.set)
    if signal.SIGHUP in early:
        hangups.set()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    async with asyncio.TaskGroup() as tasks:
        aside = [
            tasks.create_task(_reload(supervisor, hangups), name="reload on SIGHUP"),
            tasks.create_task(logs.keep_count(), name="count of lines left out"),
        ]
        try:
            await supervisor.run()
        finally:
            for task in aside:
                task.cancel()
            logs.sum_up(is_last=True)


async def _reload(supervisor: Core, hangups: asyncio.Event) -> None:
    """Read the file again at each SIGHUP; one with mistakes changes nothing."""
    while True:
        await hangups.wait()
        hangups.clear()
        try:
            await supervisor.changer.reload()
        except ConfigError:
            continue  # every mistake is in the log
        except CommandError as exc:
            _log.info("reload_not_done", reason=exc.message)  # it stops
        except Exception:  # noqa: BLE001  # whatever it is, the accounts go on
            _log.exception("reload_failed")


def _raise_descriptor_limit() -> None:
    """Each child costs four descriptors; the soft limit of 1,024 is for programs that use select(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
