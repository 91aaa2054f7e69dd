"""Until when the command under way must be answered. Each sets it first, in the context of its task.

What a connector asks of its platform ends a moment before that by itself. It then tells what is true, as that
nothing was sent yet; a task that is cancelled at the deadline can only be reported as «effect unknown».
"""

from __future__ import annotations

import math
from contextvars import ContextVar

MOMENT_S = 0.05
"""What an answer of ours needs to get from the call to the command."""

COMMAND_ENDS_AT: ContextVar[float] = ContextVar("COMMAND_ENDS_AT", default=math.inf)
"""Seconds on the loop's clock; where there is no command, no end."""


def call_ends_at(*, now: float, total_s: float) -> float:
    """Return when a call that is begun now, and may take `total_s`, is to be over."""
    return min(now + total_s, COMMAND_ENDS_AT.get() - MOMENT_S)
