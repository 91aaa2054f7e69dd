"""What a child says of its connection to the platform, and why it ended.

The child makes one attempt each time the parent says `connect`; how long to wait between attempts is the
parent's decision alone, so there is one backoff law and one counter.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Fault(StrEnum):
    """What to do about a failed or lost link; decided from codes and places, never from words in a text."""

    TRANSIENT = "transient"  # try again by the backoff law
    LIMITED = "limited"  # the platform asks for patience; wait at least `retry_after_s`
    PERMANENT = "permanent"  # nothing will change until the operator acts: park
    HANDOVER = "handover"  # the platform asked for a new connection; no failure if it is rare
    OURS = "ours"  # a bug or this machine: try again by the law, but the platform is not to blame


class LinkFailure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a link could not be made, or ended."""

    fault: Fault
    reason: str
    """A constant name, as `discovery_timeout`, `bad_credentials`, `closed_by_peer`."""
    message: str
    """For people, without secrets."""
    error_code: str | None = None
    """The platform's own code, as text; a `PERMANENT` without one was found on this side."""
    user_action: str | None = None
    """What the operator can do, in English; set for every `PERMANENT`."""
    user_action_zh: str | None = None
    """The same in Chinese, for those whom the platform addresses in it."""
    retry_after_s: float | None = None


class LinkState(StrEnum):
    """The child's view of its link, carried by each heartbeat."""

    DOWN = "down"  # waiting for `connect`
    CONNECTING = "connecting"  # an attempt is under way
    UP = "up"  # connected, and the platform has spoken or answered since
