"""When a failed event comes again, and when it is given up.

What counts as a failure is an event's own: its `nack`, its missing ack, or that it was the first of its chat
at a client that left. What followed it in its chat is only delivered again. Two limits end it: the number of
failures, and how long it has held up its chat, where time without anybody to take it does not count.
"""

from __future__ import annotations

from collections.abc import Callable

from longwire.backoff import Backoff
from longwire.delivery.records import Cause, Failing, WindowLimits


def failed_again(failing: Failing, *, flight_s: float, at: float) -> None:
    """Count one more failure of an event that was in flight for `flight_s`; `at` is in Unix seconds."""
    if failing.failures:
        failing.blocked_s += flight_s
    failing.failures += 1
    failing.last_at = at


def is_hopeless(failing: Failing, limits: WindowLimits) -> bool:
    """Return whether a limit is reached."""
    return failing.failures >= limits.max_attempts or failing.blocked_s >= limits.chat_block_max_s


def retry_delay_s(
    failing: Failing,
    cause: Cause,
    *,
    asked_s: float | None,
    limits: WindowLimits,
    luck: Callable[[], float],
) -> float:
    """Return how long the event and its chat wait now; the last try begins when `chat_block_max_s` is over.

    Args:
        failing: with this failure counted.
        cause: only a `nack` waits the first time: it says that the event was looked at, the others do not.
        asked_s: what the client asks for, if anything.
        limits: of the subscription.
        luck: returns numbers uniform in [0, 1).
    """
    if asked_s is not None:
        delay_s = asked_s
    else:
        failures = failing.failures if cause is Cause.NACKED else failing.failures - 1
        backoff = Backoff(limits.backoff_initial_s, limits.backoff_max_s)
        delay_s = backoff.delay(failures, luck=luck()) if failures else 0.0
    return max(0.0, min(delay_s, limits.chat_block_max_s - failing.blocked_s))
