"""All promises, judged from one record: pure."""

from __future__ import annotations

from collections.abc import Iterator

from chaos.judges.census import grown, unexplained
from chaos.judges.facts import Span, Violation, spans_of
from chaos.judges.history import History, read
from chaos.judges.law import too_soon
from chaos.judges.overlap import crowds, overlaps
from chaos.judges.proof import Sight, unproven
from chaos.judges.recovery import late_returns, parked_unjustly
from chaos.platform import Crowd
from chaos.record import Record
from chaos.settings import Settings

MARGIN_S = 2.0
"""What a noisy machine may add to the age of proof."""

SLACK_S = 0.25
"""What it may take from a delay."""

ATTEMPT_S = 20.0
"""How long a successful attempt, and the pace of connections, may take after a delay."""

NAMELESS_S = 20.0
"""A process may be starting, leaving (4 s and a kill) or helping for so long."""

GROWTH = 12
"""Descriptors, threads, processes: what clients and retired templates still hold at that moment."""

PLANNED = ("command", "reload")
"""After these a connector that allows it may have two connections, while the new one takes over."""

PLANNED_S = 30.0
SETTLE_S = 1.0
"""How long after it ended something may still have its effect."""

COUNTLESS = ("command", "reload", "supervisor killed", "supervisor stopped")
"""What begins the count of failures anew, as seen from outside."""

STALLS = ("child stopped", "supervisor stopped")


def judge(record: Record, crowd: Crowd, settings: Settings) -> list[Violation]:
    """Return every promise that was not kept, in the order of time."""
    histories = read(record.entries)
    found = [*record.found]
    for account, app in crowd.apps.items():
        found += _of_account(record, account, histories.get(app, History()), crowd, settings)
    found += parked_unjustly(record.parkings, troubles=record.troubles)
    found += unexplained(record.looks, grace_s=NAMELESS_S, silent=record.silent)
    allowed_s = settings.backoff_max_s + ATTEMPT_S
    found += late_returns(
        record.returns, calm_at=record.calm_at, allowed_s=allowed_s, troubles=record.troubles
    )
    if record.footprints:
        before, after = record.footprints[0], record.footprints[-1]
        found += grown(before, after, allowed=GROWTH, at=record.calm_at)
    return sorted(found, key=lambda violation: violation.at)


def _of_account(
    record: Record, account: str, history: History, crowd: Crowd, settings: Settings
) -> Iterator[Violation]:
    is_lark = account in crowd.lark
    blind = [
        Span(s.begin, s.end + SETTLE_S) for s in spans_of(record.troubles, "", what=["platform stopped"])
    ]
    touched = spans_of(record.troubles, account, what=PLANNED)
    planned = [Span(span.begin, span.end + PLANNED_S) for span in touched] if is_lark else []
    yield from overlaps(history, account, blind=blind, planned=planned)
    yield from crowds(history, account)
    sight = Sight(stalls=spans_of(record.troubles, account, what=STALLS), lag=record.lag)
    windows = settings.windows(margin_s=MARGIN_S)
    yield from unproven(record.claims.get(account, []), history, windows, sight, is_lark=is_lark)
    countless = spans_of(record.troubles, account, what=COUNTLESS)
    excused = [Span(span.begin - SETTLE_S, span.end + SETTLE_S) for span in countless]
    yield from too_soon(history, account, settings.law(slack_s=SLACK_S), excused=[*excused, *blind])
