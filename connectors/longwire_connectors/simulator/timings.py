"""The platforms' waits and limits, and how a simulator shortens them.

Each value names its source; ``docs/platforms.md`` is the collection of facts that the simulators are built
from. Waits that a client has to keep (those for an ack) are never scaled, because a scaled one would test
something else.
"""

from typing import Self

import msgspec

__all__ = ["Timings"]

MIN_TICKET_LIFE_S = 1.0


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """All waits in seconds; the defaults are the platforms' own."""

    lark_ack_deadline_s: float = 3.0
    """Handle an event within 3 s or get it again (Lark document on receiving events by long connection)."""

    lark_ladder_s: tuple[float, ...] = (15.0, 300.0, 3600.0, 21600.0)
    """Waits before the four redeliveries of an event (official text, observed over WebSocket in
    botmux#328)."""

    dingtalk_ack_deadline_s: float = 5.0
    """How long an answer to a DingTalk frame is awaited. Not established; with the next one it makes a
    minute."""

    dingtalk_click_deadline_s: float = 3.0
    """How long an answer to a click on a DingTalk card is awaited before its user is shown a failure. Not
    established; Lark's figure."""

    dingtalk_repeat_s: float = 55.0
    """Wait before an unanswered DingTalk event is repeated, without end. Not established; the Node SDK's
    comment speaks of repetition within 60 s (client.ts:441)."""

    dingtalk_cut_s: float = 10.0
    """From a SYSTEM disconnect to the cut of the TCP connection (DingTalk protocol description)."""

    dingtalk_ticket_life_s: float = 90.0
    """How long a ticket opens a connection (DingTalk protocol description)."""

    def scaled(self, time_scale: float) -> Self:
        """Return the timings with the long waits divided by ``time_scale`` (1.0 leaves them as they are).

        A ticket lives one second at least, so that a busy machine can still use it. ``ValueError`` unless
        positive.
        """
        if time_scale <= 0:
            raise ValueError(f"time_scale must be positive, not {time_scale}")
        return msgspec.structs.replace(
            self,
            lark_ladder_s=tuple(wait / time_scale for wait in self.lark_ladder_s),
            dingtalk_repeat_s=self.dingtalk_repeat_s / time_scale,
            dingtalk_cut_s=self.dingtalk_cut_s / time_scale,
            dingtalk_ticket_life_s=max(MIN_TICKET_LIFE_S, self.dingtalk_ticket_life_s / time_scale),
        )
