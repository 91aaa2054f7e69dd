"""What is needed to understand a violation: what happened around it, from every record there is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path

from chaos.judges.facts import Violation
from chaos.platform import Crowd
from chaos.record import Record

_BEFORE_S, _AFTER_S = 15.0, 5.0
_MOST_LINES = 120


def describe(violations: Sequence[Violation], record: Record, crowd: Crowd, log: Path) -> str:
    """Return a text about these violations: times are seconds from the violation."""
    lines = _parsed(log)
    return "\n\n".join("\n".join(_around(violation, record, crowd, lines)) for violation in violations)


def _around(
    violation: Violation, record: Record, crowd: Crowd, lines: Sequence[tuple[float, str]]
) -> Iterable[str]:
    at, account = violation.at, violation.account
    app = crowd.apps.get(account)
    yield f"=== {violation.promise}: {account or 'supervisor'} at {at:.2f}: {violation.text}"
    moments: list[tuple[float, str]] = []
    for trouble in record.troubles:
        if trouble.concerns(account) and trouble.span.meets(at - _BEFORE_S, at + _AFTER_S):
            lasted_s = trouble.span.end - trouble.span.begin
            moments.append((trouble.span.begin, f"trouble {trouble.what}, for {lasted_s:.2f} s"))
    moments += [
        (entry.at, f"platform {entry.what} {entry.connection} {entry.value or ''}")
        for entry in record.entries
        if entry.app == app
    ]
    moments += [(when, line) for when, line in lines if not account or f'"{account}"' in line]
    near = sorted(moment for moment in moments if at - _BEFORE_S <= moment[0] <= at + _AFTER_S)
    yield from list(_folded(near, at=at))[-_MOST_LINES:]


def _folded(moments: Iterable[tuple[float, str]], *, at: float) -> Iterator[str]:
    """Return the moments as lines, of the same ones in a row only the first, with their number."""
    for text, same in groupby(moments, key=lambda moment: moment[1]):
        first, *others = [when for when, _ in same]
        times = f" ({len(others) + 1} times)" if others else ""
        yield f"{first - at:+8.2f} {text[:400].rstrip()}{times}"


def _parsed(log: Path) -> list[tuple[float, str]]:
    """Return the log's lines with their times."""
    found: list[tuple[float, str]] = []
    with log.open(errors="replace") as file:
        for line in file:
            if line.startswith("{"):
                when = json.loads(line).get("timestamp")
                if isinstance(when, str):
                    found.append((datetime.fromisoformat(when).timestamp(), line.strip()))
    return found
