"""What the journal lets go of, and when. Pure: sizes, ages and positions are arguments.

The oldest goes first, and nothing else: the journal has no holes. Three rules, in this order:

1. What a durable subscription has not acknowledged stays, whatever its age, until the size limit.
2. What is older than `max_age_s` goes.
3. Over `max_bytes` the oldest goes, acknowledged or not, and a sixteenth of the limit more than needed, so
   that a subscription that is left behind hears of one gap now and then and not of one each second.
"""

from __future__ import annotations

import msgspec

_MARGIN = 16  # the part of the limit that is cleared beyond it
_LEAST_RESERVE_PAGES = 256  # 2 MiB


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much the journal may hold."""

    max_bytes: int
    """Of the file, without what is free in it and without the WAL."""
    max_age_s: float
    """Since the commit."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """One row of events."""

    last_seq: int
    committed_at: float
    """Unix seconds."""
    size_bytes: int


class Holdings(msgspec.Struct, frozen=True, kw_only=True):
    """What the journal holds."""

    rows: list[Row]
    """The oldest, in order; perhaps not all."""
    event_bytes: int
    """Of all rows."""
    used_bytes: int
    """Of the file, without what is free in it: rows, keys, states."""
    free_pages: int
    """That can be given back; none in a file of schema 1."""
    pages: int
    """Of the file, free ones included."""


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """What to remove."""

    through_seq: int
    """Everything up to this number; 0 for nothing."""
    is_more: bool = False
    """Whether all rows that were shown go, so that another look is due at once."""


def decide(holdings: Holdings, limits: Limits, *, low_water: int | None, now: float) -> Cut:
    """Return what to remove.

    Args:
        holdings: as it is.
        limits: as they are configured.
        low_water: up to where every durable subscription has acknowledged; `None` if there is none.
        now: Unix seconds.
    """
    over = holdings.event_bytes - _allowance(holdings, limits)
    target = over + limits.max_bytes // _MARGIN if over > 0 else 0
    through, is_forced = 0, False
    for row in holdings.rows:
        is_old = row.committed_at < now - limits.max_age_s
        is_kept = low_water is not None and row.last_seq > low_water
        is_forced = is_forced or (is_kept and over > 0)
        if (is_kept and not is_forced) or (target <= 0 and (is_kept or not is_old)):
            return Cut(through_seq=through)
        through = row.last_seq
        over -= row.size_bytes
        target -= row.size_bytes
    return Cut(through_seq=through, is_more=through > 0)


def pages_to_give_back(holdings: Holdings) -> int:
    """Return how many free pages the file system should have again; 0 while they are few.

    A sixteenth of the file stays free, because what comes next will need it. Less than twice that is left
    alone: each page given back is one that is moved.
    """
    reserve = max(_LEAST_RESERVE_PAGES, holdings.pages // _MARGIN)
    return holdings.free_pages - reserve if holdings.free_pages > 2 * reserve else 0


def _allowance(holdings: Holdings, limits: Limits) -> int:
    """Return the bytes that events may take: what the rest leaves of the limit, and at least half of it.

    The keys of deduplication are kept for a time of their own; were there more of them than the limit, no
    event would stay for a moment.
    """
    rest = holdings.used_bytes - holdings.event_bytes
    return max(limits.max_bytes - rest, limits.max_bytes // 2)
