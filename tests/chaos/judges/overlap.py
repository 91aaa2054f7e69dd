"""Never two connections of one account; of a platform that allows it, only during a planned overlap."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.judges.facts import Span, Violation, covered_s
from chaos.judges.history import Connection, History

SLACK_S = 0.3
"""For the platform to see the end of a connection whose process was killed."""


def overlaps(
    history: History, account: str, *, blind: Sequence[Span] = (), planned: Sequence[Span] = ()
) -> list[Violation]:
    """Return where two connections of an account were open side by side.

    Args:
        history: of its app.
        account: for the text.
        blind: when the platform itself stood still, and so saw ends late.
        planned: when its connector may have two; none for a platform that allows one.
    """
    found: list[Violation] = []
    last: Connection | None = None
    for connection in sorted(history.connections, key=lambda connection: connection.opened_at):
        if last is not None and _is_wrong(last, connection, blind=blind, planned=planned):
            both_s = min(last.closed_at, connection.closed_at) - connection.opened_at
            text = f"{last.id} was open for {both_s:.2f} s beside {connection.id}"
            found.append(
                Violation(
                    promise="never two connections", account=account, at=connection.opened_at, text=text
                )
            )
        if last is None or connection.closed_at > last.closed_at:
            last = connection
    return found


def crowds(history: History, account: str, *, most: int = 2) -> list[Violation]:
    """Return where more connections than that were open at once: not even a planned overlap has three."""
    moments = [(c.opened_at, 1) for c in history.connections]
    moments += [(c.closed_at + SLACK_S, -1) for c in history.connections]
    found: list[Violation] = []
    is_open = 0
    for at, change in sorted(moments):
        is_open += change
        if is_open > most and change > 0:
            text = f"{is_open} connections at once"
            found.append(Violation(promise="never two connections", account=account, at=at, text=text))
    return found


def _is_wrong(
    earlier: Connection, later: Connection, *, blind: Sequence[Span], planned: Sequence[Span]
) -> bool:
    begin, end = later.opened_at, min(earlier.closed_at, later.closed_at)
    if end - begin - covered_s(blind, begin, end) <= SLACK_S:
        return False
    return not any(span.begin <= begin and end <= span.end for span in planned)
