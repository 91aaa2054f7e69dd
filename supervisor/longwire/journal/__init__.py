"""The journal: the durable, ordered record of events, and the small state that must survive a restart.

Belongs here: SQLite, the one writer thread, the one reader thread, deduplication, retention, copies; and
`EventStore`, which is all that most of the supervisor knows of it. Does not: who reads the
journal and what was acknowledged (`longwire.delivery` decides, this package only keeps its answers).
"""

from longwire.journal.errors import (
    JournalClosed,
    JournalDamaged,
    JournalError,
    JournalSaturated,
    JournalUnavailable,
)
from longwire.journal.interface import EventStore
from longwire.journal.journal import Journal
from longwire.journal.records import Arrivals, CommandRow, Commit, JournalSettings, Page, Stored

__all__ = [
    "Arrivals",
    "CommandRow",
    "Commit",
    "EventStore",
    "Journal",
    "JournalClosed",
    "JournalDamaged",
    "JournalError",
    "JournalSaturated",
    "JournalSettings",
    "JournalUnavailable",
    "Page",
    "Stored",
]
