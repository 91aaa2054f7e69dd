"""Trying credentials without connecting: what the parent asks of a helper process, and what it answers.

`python -P -m longwire_connectors.probe LIFELINE` reads a list of `ProbeRequest` from its stdin as
MessagePack, the only way secrets reach it. It prints a `ProbeResult` as JSON a line, as soon as it is known.
"""

from __future__ import annotations

from typing import Any

import msgspec

from longwire_protocol.link import LinkFailure


class Probe(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of trying an account's credentials on its platform."""

    failure: LinkFailure | None = None
    """Why the platform did not take them; `None`: it did, or nothing was tried."""
    was_tried: bool = True
    """`False`: the connector has nothing to try."""
    clock_ahead_s: float | None = None
    """By how much our clock is ahead of the platform's, to about a second; `None`: it did not tell."""


class ProbeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An account to try."""

    account: str
    connector: str
    options: dict[str, Any]
    """The connector's own keys, secrets in the clear."""

    def __repr__(self) -> str:
        return f"ProbeRequest({self.account!r})"  # secrets must not get into a traceback


class ProbeResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of it."""

    account: str
    probe: Probe
    took_s: float = 0.0
