"""Parts of the supervisor, as its settings want them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from longwire.account import Account
from longwire.config import SupervisorSettings
from longwire.delivery import WindowLimits
from longwire.journal.retention import Limits
from longwire.outages import Outages, Pace
from longwire.pacing import ConnectGates, TokenBucket


def window_limits(settings: SupervisorSettings) -> WindowLimits:
    """Return what counts for a subscription that says nothing else."""
    return WindowLimits(
        ack_timeout_s=settings.ack_timeout_s,
        max_attempts=settings.max_attempts,
        chat_block_max_s=settings.chat_block_max_s,
    )


def journal_limits(settings: SupervisorSettings) -> Limits:
    """Return how much is kept."""
    return Limits(max_bytes=settings.journal_max_bytes, max_age_s=settings.journal_max_age_s)


def connect_gates(settings: SupervisorSettings, *, now: Callable[[], float]) -> ConnectGates:
    """Return the pace of new connections, of each connector and of each tenant."""

    def bucket(rate_per_s: float, burst: int) -> TokenBucket:
        return TokenBucket(rate_per_s=rate_per_s, burst=burst, now=now())

    return ConnectGates(
        of_connector=partial(bucket, settings.connect_rate_per_s, settings.connect_burst),
        of_tenant=partial(bucket, settings.tenant_connect_rate_per_s, settings.tenant_connect_burst),
    )


def outages(
    settings: SupervisorSettings, members: Callable[[], Iterable[Account]], connects: ConnectGates
) -> Outages:
    """Return what looks for accounts that fail together, and slows their connections down."""

    def set_pace(connector: str, pace: Pace) -> None:
        connects.set_pace(connector, rate_per_s=pace.rate_per_s, burst=pace.burst)

    usual = Pace(settings.connect_rate_per_s, settings.connect_burst)
    return Outages(members, usual=usual, set_pace=set_pace)
