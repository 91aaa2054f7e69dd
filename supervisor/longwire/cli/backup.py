"""`longwire backup`: a copy of the journal, also of one in use."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import click

from longwire.cli.output import json_option, print_json
from longwire.config import data_dir
from longwire.journal.checksums import Damaged
from longwire.journal.chunks import is_damage
from longwire.journal.copying import Copy, copy
from longwire.lock import JOURNAL
from longwire_protocol.errors import CommandError, ConfigError, Problem, RetCode


@click.command()
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace TARGET if it exists.")
@json_option
@click.pass_obj
def backup(config: Path, target: Path, *, force: bool, as_json: bool) -> None:
    """Copy the journal to the file TARGET, whole and checked, also while a supervisor uses it.

    TARGET appears when the copy is complete; it gets mode 0600.
    """
    source = data_dir(config) / JOURNAL
    if not source.exists():
        raise ConfigError([Problem("supervisor.data_dir", f"{source}: there is no journal")])
    if target.exists() and (not force or target.samefile(source)):
        raise click.UsageError(f"{target} exists; --force replaces it, unless it is the journal itself")
    try:
        done = copy(source, target.absolute())
    except (sqlite3.Error, OSError, Damaged) as exc:
        if is_damage(exc):
            text = f"{source} is damaged: {exc}; stop the supervisor, then `longwire recover`"
            raise ConfigError([Problem("supervisor.data_dir", text)]) from exc
        text = f"no backup was made: {exc}"
        raise CommandError(RetCode.JOURNAL_UNAVAILABLE, text, retryable=True) from exc
    if as_json:
        print_json({"target": str(target), **_data(done)})
    else:
        click.echo(f"{target}: {done.size_bytes:,} bytes of events, up to number {done.last_seq}")


def _data(done: Copy) -> dict[str, object]:
    return {
        "first_seq": done.first_seq,
        "last_seq": done.last_seq,
        "event_bytes": done.size_bytes,
        "gaps": done.gaps,
    }
