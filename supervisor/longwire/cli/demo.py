"""`longwire demo`: the main job, and three faults to watch heal."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from pathlib import Path

import click
from rich.console import Console

from longwire.cli.exits import ExitCode
from longwire.cli.output import json_option, print_json
from longwire.demo import Story, Summary
from longwire.demo.stage import stage
from longwire.demo.view import close, show
from longwire_protocol import Client

_CONNECT_S = 30.0


@click.command()
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    help="Go on until so many seconds are over. Without it, the demo ends when all has healed.",
)
@json_option
def demo(seconds: float | None, *, as_json: bool) -> int:
    """Run three accounts on simulators with an echo bot; break three things and watch them heal."""
    console = Console(quiet=as_json, highlight=False)
    with tempfile.TemporaryDirectory(prefix="longwire-demo-") as folder:
        summary = asyncio.run(_demo(Path(folder), seconds, console))
    if as_json:
        print_json(summary)
    else:
        close(summary, console)
    return ExitCode.OK if summary.ok else ExitCode.TRY_AGAIN


async def _demo(folder: Path, seconds: float | None, console: Console) -> Summary:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, signal.raise_signal, signal.SIGINT)
    begun = time.monotonic()
    async with stage(folder) as there, Client(there.endpoint, connect_timeout_s=_CONNECT_S) as client:
        story = Story(there, client, begun=begun, seconds=seconds)
        async with asyncio.TaskGroup() as tasks:
            view = tasks.create_task(show(story, console), name="live table")
            try:
                return await story.play()
            finally:
                view.cancel()
