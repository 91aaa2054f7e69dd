"""Journals, opened as the supervisor opens its own, and such as were used before.

`journals.py events FOLDER COUNT` writes so many events; `journals.py keys FOLDER COUNT` makes so many dedup
keys known, whose events are gone. Both by the product's own commits.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from events import BATCH, CHATS, Made, batches

from longwire.journal.records import Arrivals, JournalSettings
from longwire.journal.schema import open_for_writing
from longwire.journal.store import Store
from longwire_protocol.frames import HandedOver

NAME = "journal.sqlite3"
_ACCOUNT, _TENANT = "loop", "acme"

_BATCHES = 20
"""Of one commit: some 10,000 events."""

_REMOVE_EACH = 20
"""Commits after which the events of `keys` are removed, so that the file holds little but keys."""

_SMALLEST_BODY = b"\x80"


def open_journal(folder: Path) -> Store:
    """Return the journal in a folder, made if it is not there."""
    window_s = JournalSettings().dedup_window_s
    return Store(open_for_writing(folder / NAME), dedup_window_s=window_s)


def tend(journal: Store) -> None:
    """Do what the journal's writer does between commits."""
    if journal.is_seal_due:
        journal.seal()
    if journal.is_checkpoint_due:
        journal.checkpoint()


def handed_over(batch: Made, *, first_number: int) -> list[HandedOver]:
    """Return ready-made events as a child hands them over now."""
    now = time.time()
    return [
        HandedOver(number, "message.created", f"loopback-{number % CHATS}", f"m:{digits}", now, body)
        for number, (digits, body) in enumerate(batch, first_number)
    ]


def arrivals(events: list[HandedOver]) -> Arrivals:
    """Return them as those of the one account there is."""
    return Arrivals(_ACCOUNT, _TENANT, events)


def write_events(folder: Path, count: int) -> None:
    journal = open_journal(folder)
    for group in _groups(count):
        _commit(journal, group)
    journal.checkpoint_and_close()


def write_keys(folder: Path, count: int) -> None:
    journal = open_journal(folder)
    for number, group in enumerate(_groups(count)):
        _commit(journal, [[(digits, _SMALLEST_BODY) for digits, _ in batch] for batch in group])
        if number % _REMOVE_EACH == 0:
            _remove(journal)
    _remove(journal)
    journal.checkpoint_and_close()


def _remove(journal: Store) -> None:
    """Remove every event, in steps of some milliseconds each."""
    while not journal.remove_before(journal.head + 1):
        tend(journal)


def _groups(count: int) -> Iterator[list[Made]]:
    made = batches(count)
    while group := list(islice(made, _BATCHES)):
        yield group


def _commit(journal: Store, group: list[Made]) -> None:
    journal.commit(
        [arrivals(handed_over(batch, first_number=n * BATCH)) for n, batch in enumerate(group)], states={}
    )
    tend(journal)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["events", folder, count]:
            write_events(Path(folder), int(count))
        case ["keys", folder, count]:
            write_keys(Path(folder), int(count))
        case _:
            sys.exit(__doc__)
