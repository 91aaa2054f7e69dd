"""What `status` and `webhook.list` say of webhooks: plain data, times in Unix seconds or null."""

from __future__ import annotations

from typing import Literal

import msgspec

from longwire.courier.wire import LastError, State


class CourierStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The process that posts."""

    pid: int | None
    state: Literal["starting", "ready", "stopped"]
    restarts: int
    """Processes after the first, by this supervisor."""
    in_flight: int
    """Posts under way."""
    waiting: int
    """Posts that wait because as many are under way as may be."""
    loop_lag_p99_ms: float | None
    """How late its loop's turns were in the last half minute, at worst but for one of a hundred."""
    rss_bytes: int | None


class TargetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook."""

    name: str
    tenant: str | None
    url: str
    """Scheme, host and port only: many URLs hold a secret."""
    state: State | Literal["starting", "disabled"]
    """`starting`: there is no courier at the moment. `disabled`: the target answered 410."""
    message: str | None
    """Why it is not delivering, if it is not."""
    breaker: Literal["closed", "open", "probing"]
    failures: int
    """In a row, while the breaker is closed."""
    retry_at: float | None
    """Until when it is left alone."""
    queued: int
    """Events that the courier has and has not posted."""
    in_flight: int
    """Posts under way."""
    lag: int
    """Numbers between what is done and the journal's end; it waits for at most so many events."""
    oldest_age_s: float | None
    """Since the oldest event in its window was received; `None` where none waits there."""
    delivered: int
    """Events, by the present courier, as the following."""
    failed: int
    """Posts without success."""
    superseded: int
    """Events that were not posted because a newer one counts."""
    dead: int
    """Dead letters that are kept."""
    commands: int
    """Of answers, that were accepted."""
    refused_commands: int
    """Of answers, that were refused for good."""
    last_error: LastError | None
    last_delivered_at: float | None
    by_command: Literal["added", "updated"] | None
    """Until the next start of the supervisor it is not what the file says."""
