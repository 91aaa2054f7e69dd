"""Which text of a growing one is shown next, and when. Pure; time is an argument.

Texts that come faster than the platform takes them are not queued: each is the whole text so far, so the
newest says all that the ones before said. Only the last one, which ends the stream, is never left out.
"""

from __future__ import annotations

import msgspec

PACE_S = 0.8
"""Between two texts of one card. DingTalk takes 20 requests a second of an app for an interface («rate
limits»), whose cards share them; DingTalk-Real-AI's connector came to this number after storms of 403."""
LIMITED_S = 2.0
"""After DingTalk said that it was too fast, if it does not say how long; as that connector does."""


class Card(msgspec.Struct):
    """One card that is being written."""

    newest: int = 0
    """The number of the newest text that was asked for."""
    is_ended: bool = False
    is_busy: bool = False
    """Whether a text of it is on its way."""
    next_at: float = 0.0
    """When the next text may be shown, on the loop's clock."""

    def arrive(self, *, is_final: bool) -> int:
        """Return the number of a text that is asked for now."""
        self.newest += 1
        self.is_ended = self.is_ended or is_final
        return self.newest

    def is_stale(self, number: int, *, is_final: bool) -> bool:
        """Tell whether a text need not be shown any more: there is a newer one, or the last one."""
        return not is_final and (self.is_ended or number != self.newest)

    def wait_s(self, now: float) -> float | None:
        """Return how long the next text has to wait; `None` until one that is on its way has arrived."""
        return None if self.is_busy else max(0.0, self.next_at - now)
