"""Which lines are kept: a bounded ring per speaker, all within one bound.

The supervisor, what it says of an account, and that account's own process are speakers apart. When the whole
is full, the speaker with most loses the older half of its lines: so a flood pushes out its own past, never
another's, and where nobody floods everybody may use what is free.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice, takewhile
from operator import attrgetter
from typing import NamedTuple

import msgspec

MAX_BYTES = 8 * 1024 * 1024
"""Some 20,000 lines, and a fifth of what the supervisor's process needs anyway."""

_LINE_BYTES = 128
"""What keeping a line costs beside its text: a Struct, an int, a bytes header, a place in a deque."""

_SHELF_BYTES = 1024
"""What a speaker costs without any line: so the number of speakers is bounded, too."""


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line."""

    position: int
    """When it was written: microseconds of Unix time, made strictly growing, so that it is a name as well."""
    level: int
    """As the standard library's `logging` counts."""
    text: bytes
    """The whole line as a JSON object, redacted."""


class Speaker(NamedTuple):
    """Whose lines share a bound."""

    account: str | None = None
    """The account that the line is about; `None` where it is about none."""
    tenant: str | None = None
    """To whom that account belonged when the line was written."""
    is_child: bool = False
    """Whether the account's process wrote it, not the supervisor."""


class Wanted(msgspec.Struct, frozen=True):
    """Which lines a reader wants; `None` means all."""

    account: str | None = None
    tenant: str | None = None
    level: int = 0
    """The least one, as `Line.level`."""
    since: int = 0
    """The first position."""

    def hears(self, speaker: Speaker) -> bool:
        """Whether it wants any of the speaker's lines."""
        return self.account in {None, speaker.account} and self.tenant in {None, speaker.tenant}


class _Shelf:
    """The lines of one speaker, oldest first."""

    def __init__(self) -> None:
        self.lines: deque[Line] = deque()
        self.bytes = _SHELF_BYTES
        self.ever = 0

    def shed(self) -> None:
        for _ in range((len(self.lines) + 1) // 2):
            self.bytes -= _cost(self.lines.popleft())

    def behind(self, position: int) -> Iterable[Line]:
        """Return what is behind a position, newest first."""
        return takewhile(lambda line: line.position > position, reversed(self.lines))


class Ring:
    """Keeps lines.

    Args:
        began: the position at which this run of the supervisor began; its own lines are behind it.
        max_bytes: of all lines, with what keeping them costs.
    """

    def __init__(self, *, began: int, max_bytes: int = MAX_BYTES) -> None:
        self.began = began
        self.last = began
        """The position of the newest line."""
        self._max_bytes = max_bytes
        self._bytes = 0
        self._shelves: dict[Speaker, _Shelf] = {}

    def put(self, speaker: Speaker, level: int, text: bytes, now: int) -> None:
        """Keep a line.

        Args:
            speaker: who wrote it.
            level: as `Line.level`.
            text: a JSON object with at least one pair, and none named `time`: that one is put in front of it.
            now: microseconds of Unix time; a clock that steps back changes no order.
        """
        self.last = max(self.last + 1, now)
        seconds, micros = divmod(self.last, 1_000_000)
        text = b'{"time":%d.%06d,%b' % (seconds, micros, text[1:])
        self._add(speaker, Line(self.last, level, text))
        self._make_room()

    def recall(self, lines: list[tuple[Speaker, Line]]) -> None:
        """Put lines of earlier runs, oldest first, before all others; also if the clock was stepped back."""
        latest = max((line.position for _, line in lines), default=0)
        shift = max(0, latest - self.began)
        for speaker, line in reversed(lines):
            moved = msgspec.structs.replace(line, position=line.position - shift) if shift else line
            self._add(speaker, moved, is_newest=False)
        self._make_room()

    def newest(self, wanted: Wanted, *, limit: int) -> list[Line]:
        """Return the newest lines, oldest of them first."""
        found = self._find(wanted, wanted.since - 1, limit=limit)
        return found[-limit:] if limit else []

    def behind(self, position: int, wanted: Wanted) -> list[Line]:
        """Return every line behind a position, oldest first."""
        return self._find(wanted, max(position, wanted.since - 1), limit=None)

    def ever(self, wanted: Wanted) -> int:
        """Return how many lines of these speakers, whatever their level, were kept at any time."""
        return sum(shelf.ever for shelf in self._heard(wanted))

    def lost(self, wanted: Wanted) -> int:
        """Return how many of those are kept no more."""
        return sum(shelf.ever - len(shelf.lines) for shelf in self._heard(wanted))

    def count(self, position: int, wanted: Wanted) -> int:
        """Return how many lines of these speakers, whatever their level, are kept behind a position."""
        return sum(1 for shelf in self._heard(wanted, position) for _ in shelf.behind(position))

    def _heard(self, wanted: Wanted, position: int = -1) -> list[_Shelf]:
        """Return the speakers' shelves that have lines behind a position."""
        return [
            shelf
            for speaker, shelf in self._shelves.items()
            if shelf.lines[-1].position > position and wanted.hears(speaker)
        ]

    def _find(self, wanted: Wanted, position: int, *, limit: int | None) -> list[Line]:
        level = wanted.level
        found: list[Line] = []
        for shelf in self._heard(wanted, position):
            found += islice((line for line in shelf.behind(position) if line.level >= level), limit)
        found.sort(key=attrgetter("position"))
        return found

    def _add(self, speaker: Speaker, line: Line, *, is_newest: bool = True) -> None:
        shelf = self._shelves.get(speaker)
        if shelf is None:
            shelf = self._shelves[speaker] = _Shelf()
            self._bytes += shelf.bytes
        (shelf.lines.append if is_newest else shelf.lines.appendleft)(line)
        shelf.ever += 1
        shelf.bytes += _cost(line)
        self._bytes += _cost(line)

    def _make_room(self) -> None:
        while self._bytes > self._max_bytes:
            speaker, shelf = max(self._shelves.items(), key=lambda item: item[1].bytes)
            self._bytes -= shelf.bytes
            shelf.shed()
            if shelf.lines:
                self._bytes += shelf.bytes
            else:
                del self._shelves[speaker]


def _cost(line: Line) -> int:
    return len(line.text) + _LINE_BYTES
