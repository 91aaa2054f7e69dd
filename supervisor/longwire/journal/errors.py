"""What can go wrong with the journal while it runs.

::

    LongwireError
    └── JournalError
        ├── JournalSaturated    too much waits for the disk; stop reading and come again after a commit
        ├── JournalUnavailable  the file cannot be read now; try again later
        ├── JournalDamaged      some events cannot be read any more; go on behind them
        └── JournalClosed       the journal is closed; nothing more will be written

A journal that cannot be *opened* is a `ConfigError`: the operator must act. A commit that fails is no
exception at all: it is kept and tried again, and the journal's `on_trouble` says so.
"""

from __future__ import annotations

from longwire_protocol.errors import LongwireError


class JournalError(LongwireError):
    """The base of the journal's errors."""


class JournalSaturated(JournalError):
    """The bound on what may wait for the disk is reached; nothing of the batch was taken."""


class JournalUnavailable(JournalError):
    """The journal could not be read in time or at all; the text says why."""


class JournalDamaged(JournalError):
    """What lies between two numbers, ends included, is on disk no longer as it was written."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__(f"events {first} to {last} of the journal are damaged and cannot be read")
        self.first = first
        self.last = last


class JournalClosed(JournalError):
    """The journal is closed, or was closed before this could be written."""
