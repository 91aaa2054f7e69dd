"""What `logs.tail` takes and gives: a look at the ring, and a cursor for the next one.

A cursor names the run of the supervisor, so that the next one knows it for an earlier run's; as the lines of
that are still there, from disk, a reader goes on across a restart without a gap.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

from longwire.logbook.ring import Line, Ring, Wanted

_MAX_REPLY_BYTES = 4 * 1024 * 1024
"""Texts in one reply: a quarter of the largest frame, as `1.5,` grows to nine bytes in MessagePack."""

_CURSOR = re.compile(r"(\w{1,64})-(\d{1,18})-(\d{1,18})", re.ASCII)


class TailParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `logs.tail` takes."""

    account: str | None = None
    tenant: str | None = None
    lines: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 100
    """At most so many: the newest, or with `after` the next."""
    level: Literal["debug", "info", "warning", "error", "critical"] = "debug"
    since: Annotated[float, msgspec.Meta(ge=0, lt=1e12)] = 0
    """Unix seconds."""
    after: str | None = None
    """The cursor of an earlier reply."""
    wait_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)] = 0
    """How long to wait for the first line behind `after`."""


class Mark(msgspec.Struct, frozen=True):
    """How far a reader has read; as text, a cursor."""

    run: str
    """Of the supervisor."""
    position: int
    """The last one it has seen, or need not see."""
    ever: int
    """How many lines there had been up to that of the speakers it hears: tells what was dropped behind it."""

    def __str__(self) -> str:
        return f"{self.run}-{self.position}-{self.ever}"

    @classmethod
    def parse(cls, text: str) -> Mark:
        """Return the mark.

        Raises:
            ValueError: it is none.
        """
        match = _CURSOR.fullmatch(text)
        if match is None:
            raise ValueError(f"{text[:80]!r} is no cursor of this method")
        return cls(match[1], int(match[2]), int(match[3]))


class Tail(msgspec.Struct, frozen=True):
    """What a look found."""

    lines: list[Line]
    """Oldest first."""
    dropped: int
    """Lines that the reader will never see, for there was no room; of whatever level."""
    left_out: int
    """Lines that it asked for and that are there, but do not fit into a reply: older than these."""
    mark: Mark


def tail(ring: Ring, wanted: Wanted, *, run: str, limit: int, after: Mark | None = None) -> Tail:
    """Return the newest lines, or those behind a mark.

    Args:
        ring: where they are.
        wanted: which ones.
        run: the present run of the supervisor.
        limit: the most lines.
        after: of an earlier look with the same `wanted`.
    """
    ever = ring.ever(wanted)
    if after is None:
        newest = ring.newest(wanted, limit=limit)
        lines = _fitting(newest[::-1])[::-1]
        return Tail(lines, ring.lost(wanted), len(newest) - len(lines), Mark(run, ring.last, ever))
    start = after.position if after.run == run else min(after.position, ring.began)
    behind = ring.behind(start, wanted)
    lines = _fitting(behind[:limit])
    position = ring.last if len(lines) == len(behind) else lines[-1].position if lines else start
    left = ring.count(position, wanted)
    # Numbers of another run say nothing of this one's; nor does one that grew smaller, as a speaker went.
    dropped = max(0, ever - after.ever - ring.count(start, wanted)) if after.run == run else 0
    return Tail(lines, dropped, 0, Mark(run, position, ever - left))


def _fitting(lines: list[Line]) -> list[Line]:
    """Return as many of the first lines as a reply can take, at least one."""
    size = 0
    for number, line in enumerate(lines):
        size += len(line.text)
        if number and size > _MAX_REPLY_BYTES:
            return lines[:number]
    return lines
