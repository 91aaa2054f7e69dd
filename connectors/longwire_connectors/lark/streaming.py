"""Which text of a growing one is shown next, when, and under which number. Pure; time is an argument.

Texts that come faster than the platform takes them are not queued: each is the whole text so far, so the
newest says all that the ones before said. Only the last one, which ends the stream, is never left out.
"""

from __future__ import annotations

import msgspec

PACE_S = 0.2
"""Between two texts of one card. Lark takes 10 requests a second for a card (document «streaming updates»);
half of them are left for what else is done with it. Its clients type on between two."""
_EPOCH_S = 1_767_225_600
"""2026-01-01. `sequence` has 31 bits and must grow with each request for a card, also with those of the next
process: so it is the time, in steps of `PACE_S`, which fits until 2039."""
_LARGEST = 2**31 - 1


class Card(msgspec.Struct):
    """One card that is being written."""

    newest: int = 0
    """The number of the newest text that was asked for."""
    is_ended: bool = False
    next_at: float = 0.0
    """When the next text may be shown, on the loop's clock."""
    sequence: int = 0

    def arrive(self, *, is_final: bool) -> int:
        """Return the number of a text that is asked for now."""
        self.newest += 1
        if is_final:
            self.is_ended = True
        return self.newest

    def is_stale(self, number: int, *, is_final: bool) -> bool:
        """Return whether a text need not be shown, as a newer one is there, or the last one."""
        return not is_final and (self.is_ended or number != self.newest)

    def wait_s(self, now: float) -> float:
        """Return how long the next text has to wait."""
        return max(0.0, self.next_at - now)

    def shown(self, now: float, *, again_after_s: float = PACE_S) -> None:
        """Note that the platform was asked to show a text."""
        self.next_at = now + again_after_s

    def next_sequence(self, unix_s: float) -> int:
        """Return a number above all before it."""
        by_time = int((unix_s - _EPOCH_S) / PACE_S)
        self.sequence = min(max(self.sequence + 1, by_time, 1), _LARGEST)
        return self.sequence
