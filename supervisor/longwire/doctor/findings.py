"""What a doctor says: one thing each, how bad it is, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum, StrEnum

import msgspec


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"  # looked at, and as it should be
    NOTE = "note"  # good to know; nothing has to be done
    WARNING = "warning"  # works, and will hurt some day
    ERROR = "error"  # does not work


class Trouble(IntEnum):
    """What kind an error is: the exit code that it leads to, by sysexits.h. The first one found counts."""

    CONFIGURATION = 78  # the file or the installation must be changed
    NOT_PERMITTED = 77  # rights of files, or credentials that a platform refuses
    UNREACHABLE = 69  # a supervisor runs, and does not answer
    TRY_AGAIN = 75  # the machine lacks something now, or a platform cannot be asked


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing."""

    check: str
    """What was looked at: a constant name."""
    level: Level
    message: str
    """What is the case, without secrets."""
    action: str | None = None
    """What to do; set for whatever is worse than a note."""
    trouble: Trouble | None = None
    """Of an error."""


def ok(check: str, message: str) -> Finding:
    """Return that it is as it should be."""
    return Finding(check=check, level=Level.OK, message=message)


def note(check: str, message: str, action: str | None = None) -> Finding:
    """Return something good to know."""
    return Finding(check=check, level=Level.NOTE, message=message, action=action)


def warning(check: str, message: str, action: str) -> Finding:
    """Return something that will hurt some day."""
    return Finding(check=check, level=Level.WARNING, message=message, action=action)


def error(check: str, message: str, action: str, trouble: Trouble) -> Finding:
    """Return something that does not work."""
    return Finding(check=check, level=Level.ERROR, message=message, action=action, trouble=trouble)


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 0 where there is no error, else the exit code of the kind that comes first in `Trouble`."""
    found = {finding.trouble for finding in findings}
    return next((trouble.value for trouble in Trouble if trouble in found), 0)
