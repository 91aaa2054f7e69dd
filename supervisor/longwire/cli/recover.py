"""`longwire recover`: what can be read of a damaged journal becomes the journal."""

from __future__ import annotations

import os
import sqlite3
from contextlib import ExitStack
from pathlib import Path

import click
import msgspec

from longwire.cli.output import json_option, print_json, printable
from longwire.config import data_dir
from longwire.journal import recovery
from longwire.journal.copying import Copy
from longwire.lock import JOURNAL, lock
from longwire_protocol.errors import CommandError, ConfigError, Problem, RetCode


@click.command()
@json_option
@click.pass_obj
def recover(config: Path, *, as_json: bool) -> None:
    """Replace a damaged journal by one with all that can be read of it, and keep the damaged one aside.

    The supervisor must not run. Numbers of new events begin far above the old ones.
    """
    folder = data_dir(config)
    if not (folder / JOURNAL).exists():
        raise ConfigError([Problem("supervisor.data_dir", f"{folder / JOURNAL}: there is no journal")])
    try:
        with ExitStack() as cleanup:
            cleanup.callback(os.close, lock(folder))
            copy, aside = recovery.recover(folder / JOURNAL)
    except (sqlite3.Error, OSError) as exc:
        text = f"nothing was changed: {exc}"
        raise CommandError(RetCode.JOURNAL_UNAVAILABLE, text, retryable=True) from exc
    if as_json:
        print_json({"damaged": str(aside), **msgspec.structs.asdict(copy)})
    else:
        _tell(copy, aside)


def _tell(copy: Copy, aside: Path) -> None:
    click.echo(f"saved {copy.size_bytes:,} bytes of events, up to number {copy.last_seq}")
    for first, last in copy.gaps:
        click.echo(f"events {first} to {last} are lost")
    for key in copy.lost_states:
        click.echo(f"lost: {printable(key)}")
    for table in copy.damaged_tables:
        click.echo(f"table {table}: some of it is lost")
    click.echo(f"the damaged journal is now {aside}")
